"""The pages of the catalogue."""

from django.contrib.auth.decorators import permission_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.http import urlencode

from catalog.filters import ProductFilter
from catalog.models import Product
from catalog.queries import estimated_products

PAGE_SIZE = 50


@permission_required("catalog.view_product", raise_exception=True)
def product_list(request: HttpRequest) -> HttpResponse:
    """The products by number, 50 a page, by keyset: no page costs more than another."""
    filters = ProductFilter(request.GET, queryset=Product.objects.all())
    text = request.GET.get("q", "").replace("\0", "")
    after, before = _number(request, "after"), _number(request, "before")
    products = filters.qs if filters.is_valid() else Product.objects.none()
    if before is not None:
        rows = list(products.filter(id__lt=before).order_by("-id")[: PAGE_SIZE + 1])
        more_before, more_after = len(rows) > PAGE_SIZE, True
        rows = rows[:PAGE_SIZE][::-1]
    else:
        rows = list(products.filter(id__gt=after or 0).order_by("id")[: PAGE_SIZE + 1])
        more_before, more_after = after is not None, len(rows) > PAGE_SIZE
        rows = rows[:PAGE_SIZE]
    kept = {"q": text} if text else {}
    return render(
        request,
        "catalog/products.html",
        {
            "title": "Products",
            "products": rows,
            "q": text,
            "total": estimated_products(),
            "previous": urlencode({**kept, "before": rows[0].pk}) if rows and more_before else "",
            "next": urlencode({**kept, "after": rows[-1].pk}) if rows and more_after else "",
        },
    )


def _number(request: HttpRequest, name: str) -> int | None:
    value = request.GET.get(name, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 19 else None
