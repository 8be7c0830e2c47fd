"""Users and roles in the admin, in Unfold's dress: within the editor's own rights, and told."""

from collections.abc import Iterable
from typing import Any, cast

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Group, Permission, User
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.forms import UserChangeForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from product_importer.accounts.forms import AdminPasswordForm, NewUserForm
from product_importer.accounts.rights import groups_within, may_manage, permissions_within
from product_importer.accounts.tokens import revoke_all_tokens

admin.site.unregister(User)
admin.site.unregister(Group)


class AuditedAdmin(ModelAdmin):
    """Tells in the log which rights were given and taken, not only that some were changed."""

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        message = super().construct_change_message(request, form, formsets, add)
        rights = {name: told for name in form.changed_data if (told := _told(form, name))}
        for part in message:
            if "fields" in part.get("changed", {}) and "name" not in part["changed"]:
                labels = zip(form.changed_data, part["changed"]["fields"], strict=True)
                part["changed"]["fields"] = [
                    f"{label} ({rights[name]})" if name in rights else label
                    for name, label in labels
                ]
        if add and rights:
            fields = [f"{form.fields[name].label} ({told})" for name, told in rights.items()]
            message.append({"changed": {"fields": fields}})
        return message


def _told(form: Any, name: str) -> str:
    """What became of a right or of a set of them; nothing for other fields."""
    after = form.cleaned_data.get(name)
    if name in ("is_active", "is_staff", "is_superuser"):
        return f"now {'yes' if after else 'no'}"
    if name not in ("groups", "user_permissions", "permissions"):
        return ""
    before, now = _names(form.initial.get(name) or ()), _names(after or ())
    parts = (("added", now - before), ("removed", before - now))
    return "; ".join(f"{verb} {', '.join(sorted(names))}" for verb, names in parts if names)


def _names(held: Iterable[Model]) -> set[str]:
    return {
        f"{one.content_type.app_label}.{one.codename}" if isinstance(one, Permission) else str(one)
        for one in held
    }


class WithinOwnRights(ModelAdmin):
    """Who is no superuser gives no right that he lacks, and changes nobody and nothing beyond him.

    Beyond him there is looking. The admin asks the same of forms, deletions and actions.
    """

    def is_within(self, editor: User, one: Any) -> bool:
        """Whether a user or a role holds nothing beyond what the editor has."""
        raise NotImplementedError

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = bool(super().has_change_permission(request, obj))
        return may and (obj is None or self.is_within(_editor(request), obj))

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        may = bool(super().has_delete_permission(request, obj))
        return may and (obj is None or self.is_within(_editor(request), obj))

    def formfield_for_manytomany(self, db_field: Any, request: Any = None, **kwargs: Any) -> Any:
        """Offer, and take, no other roles and rights than the editor's; each a box to tick."""
        kwargs["widget"] = UnfoldAdminCheckboxSelectMultipleWidget()
        offered = permissions_within if db_field.related_model is Permission else groups_within
        kwargs["queryset"] = offered(_editor(request))
        return super().formfield_for_manytomany(db_field, request, **kwargs)


@admin.register(User)
class PersonAdmin(WithinOwnRights, UserAdmin, AuditedAdmin):  # type: ignore[type-arg]
    form = UserChangeForm
    add_form = NewUserForm
    change_password_form = AdminPasswordForm
    change_user_password_template = "product_importer/admin_password.html"  # noqa: S105
    list_display = ["username", "email", "roles", "is_active", "is_staff", "last_login"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        found: QuerySet[User] = super().get_queryset(request)
        return found.prefetch_related("groups")

    @display(description="Roles")
    def roles(self, user: User) -> str:
        return ", ".join(group.name for group in user.groups.all()) or "—"

    def is_within(self, editor: User, one: User) -> bool:
        return may_manage(editor, one)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        fields = super().get_readonly_fields(request, obj)
        return fields if _editor(request).is_superuser else (*fields, "is_superuser")

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """Hash the password before the transaction that the user is saved in."""
        if request.method == "POST" and self.has_add_permission(request):
            hashed = make_password(request.POST.get("password1", ""))
            request.hashed_password = hashed  # type: ignore[attr-defined]
        return super().add_view(request, form_url, extra_context)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        user = super().save_form(request, form, change)
        if not change:
            # Without one, nobody can log in: Django lets a change be posted as if to add somebody.
            user.password = getattr(request, "hashed_password", None) or make_password(None)
        return user

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> Any:
        """Also end the tokens, if the form of a password says so: nothing else knows all three."""
        message = super().construct_change_message(request, form, formsets, add)
        if form.cleaned_data.get("end_tokens"):
            revoke_all_tokens(user=form.user, actor=_editor(request))
        return message


@admin.register(Group)
class RoleAdmin(WithinOwnRights, GroupAdmin, AuditedAdmin):
    def is_within(self, editor: User, one: Group) -> bool:
        return groups_within(editor).filter(pk=one.pk).exists()


def _editor(request: HttpRequest) -> User:
    return cast(User, request.user)  # the admin lets nobody else in
