"""What other packages bring to the admin, in Unfold's dress."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import QuerySet
from django.http import HttpRequest
from django_celery_results.admin import TaskResultAdmin
from django_celery_results.models import GroupResult, TaskResult
from knox.models import AuthToken
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from catalog.admin import EstimatingPaginator
from webhooks.admin import ReadOnlyAdmin

admin.site.unregister(User)
admin.site.unregister(Group)
admin.site.unregister(TaskResult)
admin.site.unregister(GroupResult)
admin.site.unregister(AuthToken)


@admin.register(User)
class PersonAdmin(UserAdmin, ModelAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ["username", "email", "roles", "is_active", "is_staff", "last_login"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        found: QuerySet[User] = super().get_queryset(request)
        return found.prefetch_related("groups")

    @display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "—"


@admin.register(Group)
class RoleAdmin(GroupAdmin, ModelAdmin):
    pass


@admin.register(TaskResult)
class TaskAdmin(TaskResultAdmin, ReadOnlyAdmin):
    list_display = ("task_name", "task_args", "status", "worker", "date_created", "date_done")
    # The other filters and the days would read a table that grows by a row per task.
    list_filter = ("status",)  # type: ignore[assignment]
    date_hierarchy = None  # type: ignore[assignment]
    show_full_result_count = False
    paginator = EstimatingPaginator
    list_per_page = 50


@admin.register(AuthToken)
class TokenAdmin(ModelAdmin):
    """Tokens are made by ``manage.py api_token``; here they are seen and withdrawn."""

    list_display = ["token_key", "user", "created", "expiry"]
    fields = ["token_key", "user", "created", "expiry"]
    readonly_fields = fields
    list_select_related = ["user"]
    search_fields = ["user__username", "token_key"]

    def has_add_permission(self, request: object) -> bool:
        return False
