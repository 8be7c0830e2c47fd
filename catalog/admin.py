"""The catalogue in the admin, to look at. Every write goes through an operation."""

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.utils.functional import cached_property

from catalog.models import ChangeSet, Product
from catalog.queries import estimated_products
from webhooks.admin import ReadOnlyAdmin


class EstimatingPaginator(Paginator):  # type: ignore[type-arg]
    """Does not count half a million rows to show the first hundred."""

    @cached_property
    def count(self) -> int:
        products = self.object_list
        if isinstance(products, QuerySet) and not products.query.where:
            return estimated_products()
        return super().count


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    list_display = ["sku", "name", "price", "active", "updated_at"]
    list_filter = ["active"]
    search_fields = ["sku", "name"]
    ordering = ["id"]
    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50


@admin.register(ChangeSet)
class ChangeSetAdmin(ReadOnlyAdmin):
    list_display = ["id", "kind", "status", "actor", "created", "updated", "deleted", "created_at"]
    list_filter = ["kind", "status"]
    list_select_related = ["actor"]
