"""Who may do what: the roles viewer, editor and manager, each with all of the one before it.

They are groups that migrations make (``product_importer/migrations``) with ``grant``. Ops staff
give them to users in the admin, and may change what they hold: pages, API and admin ask for a
permission, never for a role.
"""

from typing import Any


def grant(apps: Any, role: str, permissions: tuple[str, ...]) -> None:
    """Give a group permissions (``app.action_model``), in a migration: make what is missing.

    Django makes permissions only after the last migration, so here they are made first.
    """
    group, _ = apps.get_model("auth", "Group").objects.get_or_create(name=role)
    for permission in permissions:
        app_label, codename = permission.split(".")
        action, model = codename.rsplit("_", 1)
        content_type, _ = apps.get_model("contenttypes", "ContentType").objects.get_or_create(
            app_label=app_label, model=model
        )
        made, _ = apps.get_model("auth", "Permission").objects.get_or_create(
            content_type=content_type,
            codename=codename,
            defaults={"name": f"Can {action.replace('_', ' ')} {model}"},
        )
        group.permissions.add(made)
