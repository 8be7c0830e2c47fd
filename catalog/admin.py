"""The catalogue in the admin, to look at. Every write goes through an operation."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from catalog.models import ChangeSet, Product
from catalog.queries import estimated_products


class ReadOnlyAdmin(ModelAdmin):
    """For rows that only operations write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class EstimatingPaginator(Paginator):
    """Does not count half a million rows to show the first hundred."""

    @property
    def count(self) -> int:  # type: ignore[override]
        query = self.object_list.query  # type: ignore[union-attr]
        return estimated_products() if not query.where else self.object_list.count()


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
