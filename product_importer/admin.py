"""What other packages bring to the admin, in Unfold's dress."""

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django_celery_results.admin import TaskResultAdmin
from django_celery_results.models import GroupResult, TaskResult
from knox.models import AuthToken
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

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


@admin.register(Group)
class RoleAdmin(GroupAdmin, ModelAdmin):
    pass


@admin.register(TaskResult)
class TaskAdmin(TaskResultAdmin, ReadOnlyAdmin):
    list_display = ("task_name", "task_args", "status", "worker", "date_created", "date_done")
    show_full_result_count = False


@admin.register(AuthToken)
class TokenAdmin(ModelAdmin):
    """Tokens are made by ``manage.py api_token``; here they are seen and withdrawn."""

    list_display = ["token_key", "user", "created", "expiry"]
    fields = ["token_key", "user", "created", "expiry"]
    readonly_fields = fields

    def has_add_permission(self, request: object) -> bool:
        return False
