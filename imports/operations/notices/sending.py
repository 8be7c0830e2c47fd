"""Notices on their way: one message for all that waits for a recipient.

The first goes out at once; what comes within ``DIGEST`` after a message waits, and goes out
together. What waits is found by beat's sweep. A recipient is leased while a message is sent: where
a worker is lost in between, it is sent again when the lease has ended, so that it may come twice,
and never not at all.
"""

import json
import smtplib
import socket
import ssl
import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from structlog import get_logger

from imports.models import CHAT_ADDRESSES, NoticeDelivery, NoticeRecipient
from imports.operations.notices.text import as_chat, as_mail
from imports.pipeline.notices import is_sent_to, may_be_told
from product_importer.common import counters
from webhooks.delivery.retry_schedule import delay_after

DIGEST = timedelta(minutes=10)  # between two messages to the same recipient
LEASE = timedelta(minutes=3)  # far longer than a message can take
MAIL_REST = timedelta(minutes=1)  # for all e-mails, where the mail server itself does not work
SENDERS = 1  # workers that send at a time: one that hangs must not keep two from imports
RUN_SECONDS = 20.0
AT_ONCE = 500  # notices in one message, by their number; few of them are listed

State = NoticeDelivery.State

logger = get_logger(__name__)


class NotSent(Exception):
    """A message was not taken; the text says why. ``of_server``: no other one would be."""

    def __init__(self, text: str, *, of_server: bool = False) -> None:
        super().__init__(text)
        self.of_server = of_server


@dataclass(frozen=True)
class Batch:
    """What a worker has leased: a recipient, until when, and what goes out in one message.

    Not ``wanted``: the recipient has chosen otherwise since, or may not hear of it any more.
    """

    recipient: NoticeRecipient
    until: datetime
    deliveries: list[NoticeDelivery]
    wanted: bool

    @property
    def channel(self) -> str:
        return "chat" if self.recipient.user is None else "mail"


def send_notices(*, seconds: float = RUN_SECONDS) -> int:
    """Send what is due, for about so many seconds; return how many messages went out."""
    deadline = time.monotonic() + seconds
    sent = 0
    while time.monotonic() < deadline and (batch := _claim()) is not None:
        failure = _try(batch) if batch.wanted else None
        _record(batch, failure)
        sent += batch.wanted and failure is None
    return sent


@transaction.atomic
def _claim() -> Batch | None:
    """Lease the recipient that has waited longest; ``None`` where none is due."""
    now = timezone.now()
    recipients = NoticeRecipient.objects.all()
    if recipients.filter(leased_until__gt=now).count() >= SENDERS:
        return None
    pending = NoticeDelivery.objects.filter(recipient=OuterRef("pk"), state=State.PENDING)
    due = recipients.filter(Exists(pending), not_before__lte=now)
    due = due.filter(Q(leased_until=None) | Q(leased_until__lte=now))
    locked = due.select_for_update(of=("self",), no_key=True, skip_locked=True)
    recipient = locked.select_related("user").order_by("not_before", "id").first()
    if recipient is None:
        return None
    recipient.leased_until = now + LEASE
    recipient.save(update_fields=["leased_until"])
    waiting = recipient.deliveries.filter(state=State.PENDING).select_related("notice")
    deliveries = list(waiting.order_by("id")[:AT_ONCE])
    return Batch(recipient, recipient.leased_until, deliveries, _is_wanted(recipient))


def _is_wanted(recipient: NoticeRecipient) -> bool:
    """Whether messages still go to a recipient, who may also have lost the right to see imports."""
    if recipient.user is not None and not may_be_told().filter(pk=recipient.user.pk).exists():
        return False
    return is_sent_to(recipient)


def _try(batch: Batch) -> NotSent | None:
    """Send a message, outside any transaction; tell why it was not taken."""
    try:
        _send(batch)
    except NotSent as error:
        return error
    except Exception as error:  # one message that cannot be made must not stop the others
        logger.exception("notice_not_sent", recipient=batch.recipient.pk)
        return NotSent(f"The message could not be sent: {error}")
    return None


def _send(batch: Batch) -> None:
    """Raises ``NotSent``."""
    if batch.recipient.user is None:
        _post(batch)
    else:
        _mail(batch)


def _mail(batch: Batch) -> None:
    message = as_mail(batch.recipient, batch.deliveries)
    try:
        message.send()
    except smtplib.SMTPRecipientsRefused:
        raise NotSent(f"The mail server refused the address {message.to[0]}.") from None
    except smtplib.SMTPAuthenticationError:
        text = "The mail server refused the name or the password in EMAIL_URL."
        raise NotSent(text, of_server=True) from None
    except TimeoutError:
        raise NotSent("The mail server did not answer in time.", of_server=True) from None
    except socket.gaierror:
        text = "The name of the mail server in EMAIL_URL has no address."
        raise NotSent(text, of_server=True) from None
    except ssl.SSLError as error:
        text = f"No TLS with the mail server: {error.reason or error}."
        raise NotSent(text, of_server=True) from None
    except (smtplib.SMTPServerDisconnected, smtplib.SMTPConnectError, ConnectionError) as error:
        raise NotSent(f"No connection to the mail server: {error}.", of_server=True) from None
    except smtplib.SMTPResponseException as error:
        said: Any = error.smtp_error
        told = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
        of_server = isinstance(error, smtplib.SMTPSenderRefused)  # the same for all
        text = f"The mail server refused the message: {error.smtp_code} {told}"
        raise NotSent(text, of_server=of_server) from None


def _post(batch: Batch) -> None:
    # Only here: requests and cryptography are 10 MB in each process that loads them.
    from product_importer.common.encryption import Cipher, Undecryptable
    from webhooks.delivery.http_client import ERRORS, Sender

    try:
        url = Cipher(CHAT_ADDRESSES).decrypt(batch.recipient.token)
    except Undecryptable:
        text = "The address was encrypted with another key. Write it anew."
        raise NotSent(text) from None
    sender = Sender(allowed=settings.WEBHOOK_ALLOWED_CIDRS, hosts=1, connections=1)
    try:
        answer = sender.post(url, body=json.dumps(as_chat(batch.deliveries)).encode(), headers={})
    finally:
        sender.close()
    if answer.status is None:
        raise NotSent(ERRORS[answer.error])
    if not answer.ok:
        said = " ".join(answer.body[:100].decode(errors="replace").replace("\0", "").split())
        raise NotSent(f"The address answered {answer.status}{f': {said}' if said else ''}.")


@transaction.atomic
def _record(batch: Batch, failure: NotSent | None) -> None:
    """Write down how it went, unless the lease was lost and another worker has taken over."""
    recipient = NoticeRecipient.objects.select_for_update(of=("self",), no_key=True).filter(
        pk=batch.recipient.pk, leased_until=batch.until
    )
    if (found := recipient.first()) is None:
        return
    now = timezone.now()
    found.leased_until = None
    rows = NoticeDelivery.objects.filter(pk__in=[delivery.pk for delivery in batch.deliveries])
    if not batch.wanted:
        rows.update(state=State.SHOWN)
    elif failure is None:
        rows.update(state=State.SENT, sent_at=now)
        found.tries, found.failing_since, found.last_error = 0, None, ""
        found.not_before = now + DIGEST
    else:
        found.tries += 1
        found.failing_since = found.failing_since or now
        found.last_error = str(failure)[:300]
        wait = delay_after(found.tries)
        if wait is None:
            rows.update(state=State.FAILED)
            found.tries = 0
        found.not_before = now + (wait or DIGEST)
        # Not the reason, which may have an address in it: the pages tell it.
        logger.warning("notice_failed", recipient=found.pk, tries=found.tries)
    found.save(update_fields=["leased_until", "not_before", "tries", "failing_since", "last_error"])
    if failure is not None and failure.of_server:
        _let_mail_rest(now + MAIL_REST)
    if batch.wanted:
        counters.add({f"notices|{batch.channel}_{'failed' if failure else 'sent'}": 1})


def _let_mail_rest(until: datetime) -> None:
    """Each other e-mail would wait for the same server, and count as a try of its recipient's."""
    due = NoticeRecipient.objects.exclude(user=None).filter(not_before__lt=until)
    # What somebody else has locked is left alone: two that waited for each other would not end.
    due = due.select_for_update(no_key=True, skip_locked=True)
    NoticeRecipient.objects.filter(pk__in=due.values("pk")).update(not_before=until)
