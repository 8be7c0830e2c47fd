"""Who is told of what, and where: persons for themselves, managers for the chats.

``tell`` is what whoever finds something to tell calls, in its own transaction.
"""

from collections.abc import Collection
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone

from imports.models import (
    CHAT_ADDRESSES,
    NAME_MAX_LENGTH,
    NOTICE_KINDS,
    Notice,
    NoticeDelivery,
    NoticeRecipient,
    Supplier,
)
from imports.operations.suppliers import Invalid
from imports.pipeline.notices import is_sent_to, tell
from product_importer.common import address_guard

__all__ = ["Invalid", "tell"]

MAX_CHATS = 50  # each is written to for every notice that it wants


def settings_of(user: User) -> NoticeRecipient:
    """What a person is told of; as it begins, and not stored, where nothing was ever chosen."""
    found = NoticeRecipient.objects.filter(user=user).prefetch_related("suppliers").first()
    return found or NoticeRecipient(user=user)


def notices_of(user: User) -> QuerySet[NoticeDelivery]:
    """What a person was told, the newest first."""
    return NoticeDelivery.objects.filter(recipient__user=user).select_related("notice")


@transaction.atomic
def change_settings(*, user: User, **values: Any) -> NoticeRecipient:
    """Change what a person is told of: any of ``kinds``, ``suppliers``, ``own_only``, ``enabled``.

    ``suppliers`` are numbers, or ``None`` for all. Raises ``Invalid``.
    """
    NoticeRecipient.objects.bulk_create([NoticeRecipient(user=user)], ignore_conflicts=True)
    return _change(NoticeRecipient.objects.select_for_update(of=("self",)).get(user=user), values)


@transaction.atomic
def unsubscribe(*, recipient_id: int) -> None:
    """Send a person no more e-mails. Nothing happens where there is no such person any more."""
    NoticeRecipient.objects.filter(pk=recipient_id).exclude(user=None).update(enabled=False)


# --- Chats ----------------------------------------------------------------------------


@transaction.atomic
def create_chat(**values: Any) -> NoticeRecipient:
    """Add a chat: ``name``, ``url``, and as for a person. Raises ``Invalid``."""
    if NoticeRecipient.objects.filter(user=None).count() >= MAX_CHATS:
        sentence = f"There are {MAX_CHATS} chats already. Delete one that is not needed."
        raise Invalid({"name": ("too_many", sentence)})
    return _change(NoticeRecipient(own_only=False), {"name": "", "url": "", **values})


@transaction.atomic
def change_chat(*, recipient_id: int, **values: Any) -> NoticeRecipient:
    """Raises ``Invalid`` and ``NoticeRecipient.DoesNotExist``."""
    chats = NoticeRecipient.objects.select_for_update(of=("self",)).filter(user=None)
    return _change(chats.get(pk=recipient_id), values)


def delete_chat(*, recipient_id: int) -> None:
    """With what was to be sent there."""
    NoticeRecipient.objects.filter(pk=recipient_id, user=None).delete()


@transaction.atomic
def send_test(*, recipient: NoticeRecipient) -> bool:
    """Have a test sent, at once; false where nothing is sent to this recipient at all."""
    if not is_sent_to(recipient):
        return False
    notice = Notice.objects.create(
        kind=Notice.Kind.TEST,
        title="This is a test",
        sentence="If you can read it, notices arrive here.",
        link="/notices/",
    )
    NoticeDelivery.objects.create(notice=notice, recipient=recipient)
    NoticeRecipient.objects.filter(pk=recipient.pk).update(not_before=timezone.now())
    return True


# --- Values ---------------------------------------------------------------------------


def _change(recipient: NoticeRecipient, values: dict[str, Any]) -> NoticeRecipient:
    """Set values on a row that is locked or new. Raises ``Invalid`` with all that is wrong."""
    errors: dict[str, tuple[str, str]] = {}
    if "kinds" in values:
        recipient.kinds = [kind for kind in NOTICE_KINDS if kind in values["kinds"]]
        if unknown := sorted(set(values["kinds"]) - set(NOTICE_KINDS)):
            errors["kinds"] = ("invalid", f"There are no notices of “{unknown[0]}”.")
    if "name" in values:
        recipient.name = values["name"].strip()[:NAME_MAX_LENGTH]
        if not recipient.name:
            errors["name"] = ("blank", "Give it a name, such as the channel’s.")
    if "url" in values:
        errors |= _set_url(recipient, values["url"].strip())
    for name in ("own_only", "enabled"):
        if name in values:
            setattr(recipient, name, values[name])
    suppliers = values.get("suppliers")
    found = _suppliers(suppliers, errors) if suppliers is not None else []
    if errors:
        raise Invalid(errors)
    if "suppliers" in values:
        recipient.every_supplier = suppliers is None
    recipient.save()
    if "suppliers" in values:
        recipient.suppliers.set(found)
    return recipient


def _set_url(recipient: NoticeRecipient, url: str) -> dict[str, tuple[str, str]]:
    # Only here: a worker, which carries this module, has no need of cryptography.
    from product_importer.common.encryption import Cipher
    from webhooks.operations.endpoints import check_address

    try:
        check_address(url)
    except address_guard.Refused as refused:
        return {"url": (refused.code, str(refused))}
    target = address_guard.check_url(url, settings.WEBHOOK_ALLOWED_CIDRS)
    recipient.token = Cipher(CHAT_ADDRESSES).encrypt(url)
    recipient.shown = f"{target.scheme}://{target.host}/…"
    recipient.tries, recipient.failing_since, recipient.last_error = 0, None, ""
    recipient.not_before = timezone.now()
    return {}


def _suppliers(numbers: Collection[int], errors: dict[str, tuple[str, str]]) -> list[Supplier]:
    found = list(Supplier.objects.filter(pk__in=numbers))
    if missing := sorted(set(numbers) - {supplier.pk for supplier in found}):
        errors["suppliers"] = ("does_not_exist", f"There is no supplier {missing[0]}.")
    return found
