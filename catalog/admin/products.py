"""The products in the admin. Every write goes through an operation, as on the pages."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import SimpleListFilter
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.db.models.functions import Lower
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.http import urlencode
from django.utils.safestring import mark_safe
from unfold.decorators import action, display
from unfold.views import ChangeList

from catalog.admin.own_fields import one_line, own_columns, own_fields_of, own_filters
from catalog.admin.paginators import ProductPaginator
from catalog.field_values import in_words
from catalog.models import Field, Product
from catalog.operations import products as operations
from catalog.queries.filters import BadFilter, active_filters, filtered_products
from catalog.queries.own_fields.filters import OWN_PREFIX
from catalog.queries.pagination import total_order
from catalog.views.bulk_confirm import ask
from catalog.views.forms import ProductForm, product_form
from catalog.views.own_fields.inputs import PREFIX
from catalog.views.product_list import shows_images
from product_importer.common.actor import actor_of
from product_importer.common.parsing import whole_number
from webhooks.admin import ListAdmin


class ProductList(ChangeList):
    """Its orders are those of the pages, and what fills one page is found as on more of them."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Product]) -> list[Any]:
        found: list[Any] = super().get_ordering(request, queryset)
        one = len(found) == 1 or found[1:] == ["id"]
        return (one and total_order(found[0])) or found

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.multi_page:
            self.result_list = self.paginator.page(1).object_list


@admin.register(Product)
class ProductAdmin(ListAdmin):
    not_listed = ("description",)
    form = ProductForm
    fields = ["sku", "name", "description", "price", "active", "seen_version"]
    list_display = ["shown_sku", "name", "price", "active", "updated_at", "page"]  # and own columns
    list_filter = ["active"]  # and own ones
    list_filter_submit = True
    search_fields = ["sku", "name", "description"]
    search_help_text = "A part of the SKU, the name or the description"
    ordering = ["id"]
    show_facets = admin.ShowFacets.NEVER  # each would count the catalogue
    show_full_result_count = False
    paginator = ProductPaginator
    list_per_page = 50
    list_max_show_all = 0
    actions = ["activate", "deactivate", "delete", "export"]

    @display(description="SKU", ordering=Lower("sku"))
    def shown_sku(self, product: Product) -> str:
        return one_line(product.sku)

    @display(description="Page")
    def page(self, product: Product) -> str:
        return format_html('<a href="{}">History</a>', reverse("product-detail", args=[product.pk]))

    # --- The list

    def get_queryset(self, request: HttpRequest) -> QuerySet[Product]:
        found: QuerySet[Product] = super().get_queryset(request)
        return found if own_columns(request) else found.defer("own_fields")

    def get_list_display(self, request: HttpRequest) -> list[str | Callable[[Product], str]]:
        *first, changed, page = self.list_display
        return [*first, *own_columns(request), changed, page]

    def get_list_filter(self, request: HttpRequest) -> list[str | type[SimpleListFilter]]:
        return [*self.list_filter, *own_filters(request)]

    @method_decorator(shows_images)
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        page: HttpResponseBase = super().changelist_view(request, extra_context)
        return page

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ProductList]:
        return ProductList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Product], search_term: str
    ) -> tuple[QuerySet[Product], bool]:
        try:
            return queryset & filtered_products({"q": search_term}), False
        except BadFilter as error:
            self.message_user(request, str(error), messages.ERROR)
            return queryset.none(), False

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """No others by hand in the address: an act on all that match has to know its filters."""
        own = (one.parameter_name for one in own_filters(request))
        return lookup in ("active__exact", *own)

    # --- One product

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        """Those of the five, and the catalogue's own: as inputs, or to look at as one."""
        if obj is not None and not self.has_change_permission(request, obj):
            return [*self.fields, "own_values"]
        return [*self.fields, *(PREFIX + field.key for field in own_fields_of(request))]

    @display(description="Fields of your own")
    def own_values(self, product: Product) -> str:
        stored = product.own_fields or {}
        lines = [
            (field.label, in_words(field.definition, stored[field.key]))
            for field in Field.objects.filter(retired=False)
            if field.key in stored
        ]
        return format_html_join(mark_safe("<br>"), "{}: {}", lines) or "—"

    def get_form(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, **{"form": product_form(), **kwargs})
        form.actor = request.user  # the class is made for this request
        return form

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        """The form has saved it (``ProductForm``)."""

    def delete_model(self, request: HttpRequest, obj: Product) -> None:
        try:
            operations.delete_product(product_id=obj.pk, actor=actor_of(request))
        except Product.DoesNotExist:
            raise Http404 from None

    # --- Many products

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        found: dict[str, Any] = super().get_actions(request)
        found.pop("delete_selected", None)  # it would go past the operations
        return found

    def has_bulk_delete_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("catalog.bulk_delete_product")

    def has_export_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("catalog.export_product")

    @action(description="Activate …", permissions=["change"])
    def activate(self, request: HttpRequest, products: QuerySet[Product]) -> HttpResponse:
        return self._ask(request, "activate")

    @action(description="Deactivate …", permissions=["change"])
    def deactivate(self, request: HttpRequest, products: QuerySet[Product]) -> HttpResponse:
        return self._ask(request, "deactivate")

    @action(description="Delete …", permissions=["bulk_delete"])
    def delete(self, request: HttpRequest, products: QuerySet[Product]) -> HttpResponse:
        return self._ask(request, "delete")

    @action(description="Export everything that matches, as CSV", permissions=["export"])
    def export(self, request: HttpRequest, products: QuerySet[Product]) -> HttpResponse:
        return redirect(f"{reverse('product-export')}?{urlencode(_filters(request))}")

    def _ask(self, request: HttpRequest, act: str) -> HttpResponse:
        if request.POST.get("select_across") == "1":
            wanted: dict[str, Any] = {"filters": _filters(request)}
        else:
            ticked = request.POST.getlist(ACTION_CHECKBOX_NAME)
            ids = {number for text in ticked if (number := whole_number(text)) is not None}
            wanted = {"ids": sorted(ids)}
        return ask(request, act, wanted, shell=self.admin_site.each_context(request))


def _filters(request: HttpRequest) -> dict[str, str]:
    """The list's address in the words of ``catalog.queries.filters``."""
    given = request.GET
    own = {name: text for name, text in given.items() if name.startswith(OWN_PREFIX)}
    return active_filters({"q": given.get("q"), "active": given.get("active__exact"), **own})
