"""Filters of the product list, for pages and API alike."""

import django_filters
from django.db.models import Q, QuerySet

from catalog.models import Product


class ProductFilter(django_filters.FilterSet):
    """``sku``, ``name``, ``description``: contains, in any case; ``q``: any of the three."""

    sku = django_filters.CharFilter(lookup_expr="icontains")
    name = django_filters.CharFilter(lookup_expr="icontains")
    description = django_filters.CharFilter(lookup_expr="icontains")
    active = django_filters.BooleanFilter()
    q = django_filters.CharFilter(method="search", label="SKU, name or description")

    class Meta:
        model = Product
        fields = ["sku", "name", "description", "active"]

    def search(self, products: QuerySet[Product], name: str, text: str) -> QuerySet[Product]:
        return products.filter(
            Q(sku__icontains=text) | Q(name__icontains=text) | Q(description__icontains=text)
        )
