"""What is kept about products in the admin, to look at: change sets, export formats."""

from typing import Any

from django.contrib import admin
from django.db.models import Prefetch, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from unfold.decorators import display

from catalog.admin.paginators import EstimatingPaginator
from catalog.models import Change, ChangeSet, ExportFormat, RemovedProduct, SearchIndex
from catalog.operations.search_index import describe_search_index
from catalog.operations.undo import undo_of, why_not
from product_importer.common.parsing import whole_number
from webhooks.admin import ReadOnlyAdmin


@admin.register(SearchIndex)
class SearchIndexAdmin(ReadOnlyAdmin):
    """How far the search index has come; a sentence above the list says how it stands."""

    list_display = ["begun_at", "product", "change", "moved_at", "caught_up_at"]
    list_display_links = None

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        self.message_user(request, describe_search_index())
        page: HttpResponse = super().changelist_view(request, extra_context)
        return page


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
        "page",
    ]
    list_filter = ["kind", "status"]
    list_select_related = ["actor"]
    not_listed = ("request", "error")
    readonly_fields = ["undo", "page"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChangeSet]:
        found: QuerySet[ChangeSet] = super().get_queryset(request)
        brief = ChangeSet.objects.defer("request", "error")
        return found.prefetch_related(
            Prefetch("undos", brief.prefetch_related(Prefetch("undos", brief)))
        )

    @display(description="Page")
    def page(self, change_set: ChangeSet) -> str:
        return format_html('<a href="{}">Open</a>', reverse("change-detail", args=[change_set.pk]))

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


def _change_set_link(number: int) -> str:
    return format_html('<a href="{}">{}</a>', reverse("change-detail", args=[number]), number)


@admin.register(Change)
class ChangeAdmin(ReadOnlyAdmin):
    list_display = ["id", "product_id", "what", "old_version", "old_updated_at", "in_change_set"]
    search_fields = ["=product__id", "=change_set__id"]
    search_help_text = "Number of the product or of the change set"
    ordering = ["-id"]
    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50
    fields = ["id", "product_id", "what", "in_change_set"]
    readonly_fields = fields

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Change], search_term: str
    ) -> tuple[QuerySet[Change], bool]:
        return _by_number(queryset, search_term, "product_id", "change_set_id"), False

    @display(description="Before")
    def what(self, change: Change) -> str:
        named = [field for field in Change.Field if change.fields & field]
        return ", ".join(
            f"{field.name.lower()}: {str(getattr(change, f'old_{field.name.lower()}'))[:60]}"
            for field in named
        )

    @display(description="Change set")
    def in_change_set(self, change: Change) -> str:
        return _change_set_link(change.change_set_id)


@admin.register(RemovedProduct)
class RemovedProductAdmin(ReadOnlyAdmin):
    """A list only: a product can be deleted more than once, so its number is no key."""

    list_display = ["id", "sku", "name", "price", "active", "version", "in_change_set"]
    list_display_links = None
    not_listed = ("description", "own_fields")
    search_fields = ["=id", "=change_set__id"]
    search_help_text = "Number of the product or of the change set"
    sortable_by = ()
    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[RemovedProduct], search_term: str
    ) -> tuple[QuerySet[RemovedProduct], bool]:
        return _by_number(queryset, search_term, "id", "change_set_id"), False

    @display(description="Change set")
    def in_change_set(self, removed: RemovedProduct) -> str:
        return _change_set_link(removed.change_set_id)


def _by_number(queryset: QuerySet[Any], text: str, *names: str) -> QuerySet[Any]:
    """Rows where one of the columns is this number; a text that is none matches nothing."""
    if not text:
        return queryset
    number = whole_number(text)
    if number is None:
        return queryset.none()
    condition = Q()
    for name in names:
        condition |= Q(**{name: number})
    return queryset.filter(condition)


@admin.register(ExportFormat)
class ExportFormatAdmin(ReadOnlyAdmin):
    """Export formats are made and changed on their pages, which know the fields that there are."""

    list_display = ["name", "updated_at", "page"]
    not_listed = ("columns",)
    search_fields = ["name"]

    @display(description="Page")
    def page(self, found: ExportFormat) -> str:
        here = reverse("export-format-detail", args=[found.pk])
        return format_html('<a href="{}">Change</a>', here)
