"""Import jobs in the admin, to look at."""

from typing import Any

from django.contrib import admin
from django.db.models import Avg, Count, Max, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from unfold.admin import TabularInline
from unfold.decorators import display

from catalog.admin.paginators import EstimatingPaginator
from imports.models import (
    INNER,
    Feed,
    FeedRun,
    Format,
    FormatVersion,
    ImportJob,
    RowError,
    Supplier,
)
from webhooks.admin import ReadOnlyAdmin

LONG = (*INNER, "warnings", "error", "trouble", "if_missing", "missing_off")
FEED_INNER = ("known", "host_key", "password_token", "private_key_token", "headers_token")


class StateFilter(admin.SimpleListFilter):
    """The jobs by their status, as their list says it."""

    title = "status"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, label) for name, (label, _) in ImportJob.states().items()]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[ImportJob]
    ) -> QuerySet[ImportJob] | None:
        wanted = ImportJob.states().get(self.value() or "")
        return queryset.filter(wanted[1]) if wanted else None


@admin.register(ImportJob)
class ImportJobAdmin(ReadOnlyAdmin):
    list_display = [
        "id",
        "file_name",
        "shown_status",
        "stage",
        "total_records",
        "created",
        "updated",
        "unchanged",
        "superseded",
        "refused",
        "created_by",
        "created_at",
        "in_change_set",
        "page",
    ]
    list_filter = [StateFilter, "created_at"]
    search_fields = ["file_name", "sha256"]
    list_select_related = ["created_by"]
    not_listed = LONG
    readonly_fields = ["shown_status", "refused", "in_change_set", "page", "chunk_figures"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        shown = {"status": "shown_status", "rejected": "refused"}
        names = [one for one in super().get_fields(request, obj) if one not in shown.values()]
        return [shown.get(name, name) for name in names]

    @display(
        description="Status",
        ordering="status",
        label={
            ImportJob.Status.COMPLETED.label: "success",
            "Nothing imported": "warning",
            "Undone": "warning",
            ImportJob.Status.FAILED.label: "danger",
            ImportJob.Status.PROCESSING.label: "info",
            ImportJob.Status.PENDING.label: "info",
            **{status.label: "warning" for status in ImportJob.AWAITING},
        },
    )
    def shown_status(self, job: ImportJob) -> str:
        return job.outcome_label

    @display(description="Refused", ordering="rejected")
    def refused(self, job: ImportJob) -> int:
        return job.rejected

    @display(description="Page")
    def page(self, job: ImportJob) -> str:
        return format_html('<a href="{}">Open</a>', reverse("job-detail", args=[job.pk]))

    @display(description="Change set")
    def in_change_set(self, job: ImportJob) -> str:
        if job.change_set_id is None:
            return "—"
        address = reverse("change-detail", args=[job.change_set_id])
        return format_html('<a href="{}">{}</a>', address, job.change_set_id)

    @display(description="Chunks")
    def chunk_figures(self, job: ImportJob) -> str:
        figures = job.chunks.aggregate(
            all=Count("id"),
            done=Count("id", filter=Q(done_at__isnull=False)),
            mean=Avg("seconds"),
            slowest=Max("seconds"),
            attempts=Max("attempts"),
        )
        if not figures["all"]:
            return "none yet"
        return (
            f"{figures['done']} of {figures['all']} done, {figures['mean'] or 0:.2f} s on average, "
            f"{figures['slowest'] or 0:.2f} s the slowest, at most {figures['attempts']} attempts"
        )


@admin.register(RowError)
class RowErrorAdmin(ReadOnlyAdmin):
    list_display = ["line", "column", "code", "message", "page"]
    list_filter = ["code"]
    list_select_related = ["job"]
    not_listed = ("record", "sku", "mended", *(f"job__{name}" for name in LONG))
    search_fields = ["=job__id"]
    search_help_text = "Number of the import"
    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50
    ordering = ["-id"]

    @display(description="Import")
    def page(self, error: RowError) -> str:
        address = reverse("job-detail", args=[error.job_id])
        return format_html('<a href="{}">{}</a>', address, error.job)


@admin.register(Supplier)
class SupplierAdmin(ReadOnlyAdmin):
    list_display = ["name", "formats_of", "created_by", "created_at"]
    list_select_related = ["created_by"]
    search_fields = ["name"]

    @display(description="Formats")
    def formats_of(self, supplier: Supplier) -> int:
        return supplier.formats.count()


class FormatVersionInline(TabularInline):
    model = FormatVersion
    fields = ["number", "created_by", "created_at", "rules"]
    readonly_fields = fields
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Format)
class FormatAdmin(ReadOnlyAdmin):
    list_display = ["name", "supplier", "version", "ready_made", "last_used_at"]
    list_filter = ["ready_made"]
    not_listed = ("rules", "columns", "if_missing")
    list_select_related = ["supplier"]
    search_fields = ["name", "supplier__name"]
    inlines = [FormatVersionInline]


@admin.register(Feed)
class FeedAdmin(ReadOnlyAdmin):
    list_display = ["name", "supplier", "schedule", "enabled", "next_run_at", "page"]
    list_filter = ["enabled"]
    not_listed = FEED_INNER
    list_select_related = ["supplier"]
    search_fields = ["name", "supplier__name"]

    @display(description="Page")
    def page(self, feed: Feed) -> str:
        return format_html('<a href="{}">Open</a>', reverse("feed-detail", args=[feed.pk]))


@admin.register(FeedRun)
class FeedRunAdmin(ReadOnlyAdmin):
    list_display = ["id", "feed", "at", "state", "code", "bytes", "tries", "finished_at"]
    list_filter = ["state", "at"]
    not_listed = ("message", *(f"feed__{name}" for name in FEED_INNER))
    list_select_related = ["feed__supplier"]
    search_fields = ["=feed__id", "code"]
    show_full_result_count = False

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("imports.view_feed"))

    has_module_permission = has_view_permission
