"""The catalogue in the admin, to look at. Every write goes through an operation."""

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from unfold.decorators import display

from catalog.models import ChangeSet, Product
from catalog.queries import estimated_products
from catalog.undo import undo_of, why_not
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
    list_display = [
        "id",
        "kind",
        "status",
        "actor",
        "created",
        "updated",
        "deleted",
        "conflicts",
        "created_at",
        "undo",
    ]
    list_filter = ["kind", "status"]
    list_select_related = ["actor"]
    readonly_fields = ["undo"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChangeSet]:
        found: QuerySet[ChangeSet] = super().get_queryset(request)
        return found.prefetch_related("undos__undos")

    @display(description="Undo")
    def undo(self, change_set: ChangeSet) -> str:
        """The page that tells in numbers what would happen, and asks for the permission."""
        standing = undo_of(change_set)
        if standing is not None:
            page, word = reverse("change-detail", args=[standing.pk]), f"undone by {standing.pk}"
        elif why_not(change_set):
            return "—"
        else:
            page, word = reverse("change-undo", args=[change_set.pk]), "Undo …"
        return format_html('<a href="{}">{}</a>', page, word)
