"""What other packages bring to the admin, in Unfold's dress; API tokens; and who did what."""

from typing import Any, cast

from axes.models import AccessAttempt, AccessFailureLog, AccessLog
from django.contrib import admin
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_results.admin import TaskResultAdmin
from django_celery_results.models import GroupResult, TaskResult
from knox.models import AuthToken
from unfold.admin import ModelAdmin
from unfold.decorators import display

import product_importer.accounts.user_admin  # noqa: F401 (it registers users and groups)
from catalog.admin.paginators import EstimatingPaginator
from product_importer.accounts.tokens import revoke_token
from product_importer.models import ApiToken
from webhooks.admin import ReadOnlyAdmin

# What other packages' tables are called here; migrations do not look at it.
for model, name, plural in (
    (LogEntry, "act", "acts"),
    (AccessLog, "log-in", "log-ins"),
    (AccessFailureLog, "failed log-in", "failed log-ins"),
    (AccessAttempt, "wait after failed log-ins", "waits after failed log-ins"),
    (TaskResult, "task", "tasks"),
    (Group, "role", "roles"),
):
    model._meta.verbose_name, model._meta.verbose_name_plural = name, plural

admin.site.index_title = "Admin"
admin.site.unregister(TaskResult)
admin.site.unregister(GroupResult)
admin.site.unregister(AuthToken)


@admin.register(TaskResult)
class TaskAdmin(TaskResultAdmin, ReadOnlyAdmin):
    list_display = ("task_name", "task_args", "status", "worker", "date_created", "date_done")
    # The other filters and the days would read a table that grows by a row per task.
    list_filter = ("status",)  # type: ignore[assignment]
    not_listed = ("task_kwargs", "result", "traceback", "meta")
    date_hierarchy = None  # type: ignore[assignment]
    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50


@admin.register(ApiToken)
class TokenAdmin(ModelAdmin):
    """Tokens are made on their owners' pages; here they are seen, and revoked by deleting."""

    list_display = ["name", "owner", "scope", "made", "expires", "last_used_at"]
    list_filter = ["scope"]
    list_select_related = ["token__user"]
    fields = ["name", "owner", "scope", "begins_with", "made", "expires", "last_used_at"]
    readonly_fields = fields
    search_fields = ["name", "token__user__username", "token__token_key"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def delete_model(self, request: HttpRequest, obj: ApiToken) -> None:
        revoke_token(token=obj, actor=_staff(request))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset.select_related("token__user"):
            revoke_token(token=token, actor=_staff(request))

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        return []  # revoke_token has told it

    @display(description="User", ordering="token__user__username")
    def owner(self, token: ApiToken) -> str:
        return str(token.token.user)

    @display(description="Begins with")
    def begins_with(self, token: ApiToken) -> str:
        return str(token.token.token_key[:8])

    @display(description="Made", ordering="token__created")
    def made(self, token: ApiToken) -> Any:
        return token.token.created

    @display(description="Expires", ordering="token__expiry")
    def expires(self, token: ApiToken) -> Any:
        return token.expires_at or "never"


def _staff(request: HttpRequest) -> User:
    return cast(User, request.user)  # the admin lets nobody else in


# --- Who did what ---------------------------------------------------------------------


class GrowingAdmin(ReadOnlyAdmin):
    """A log that only grows: the newest first, and no count of all of it."""

    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50


@admin.register(LogEntry)
class ActsAdmin(GrowingAdmin):
    """Everything that somebody changed in the admin, rights among it, and API tokens."""

    list_display = ["action_time", "user", "act", "content_type", "object_repr", "message"]
    list_filter = ["action_flag", "content_type"]
    list_select_related = ["user", "content_type"]
    search_fields = ["user__username", "object_repr"]
    fields = ["action_time", "user", "act", "content_type", "object_id", "object_repr", "message"]
    readonly_fields = fields
    ordering = ["-action_time", "-id"]

    @display(description="Act", ordering="action_flag")
    def act(self, entry: LogEntry) -> str:
        return str(entry.get_action_flag_display())

    @display(description="What")
    def message(self, entry: LogEntry) -> str:
        return entry.get_change_message() or "—"


@admin.register(AccessLog)
class LogInsAdmin(GrowingAdmin):
    """Log-ins that succeeded."""

    list_display = ["attempt_time", "username", "ip_address", "path_info", "logout_time"]
    search_fields = ["username", "=ip_address"]
    fields = [*list_display, "user_agent"]
    readonly_fields = fields


@admin.register(AccessFailureLog)
class FailuresAdmin(GrowingAdmin):
    """Log-ins that failed."""

    list_display = ["attempt_time", "username", "ip_address", "path_info", "locked_out"]
    list_filter = ["locked_out"]
    search_fields = ["username", "=ip_address"]
    fields = [*list_display, "user_agent"]
    readonly_fields = fields


@admin.register(AccessAttempt)
class WaitsAdmin(ReadOnlyAdmin):
    """Failures that count towards a wait; deleting them ends it."""

    list_display = ["username", "ip_address", "failures_since_start", "attempt_time"]
    search_fields = ["username", "=ip_address"]
    fields = [*list_display, "user_agent", "path_info"]
    readonly_fields = fields

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(ModelAdmin.has_delete_permission(self, request, obj))
