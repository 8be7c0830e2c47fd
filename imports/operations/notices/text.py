"""What a notice says: as an e-mail, and as the JSON that chats take."""

from collections.abc import Sequence
from email.utils import formataddr
from typing import Any

from django.conf import settings
from django.core import signing
from django.core.mail import EmailMessage

from imports.models import ImportJob, Notice, NoticeDelivery, NoticeRecipient

LISTED = 20  # in one message; of the others it tells how many
TEXT_MAX_LENGTH = 2_900  # of a block in a chat, by Slack's rules a little under 3,000
SALT = "imports.notices.unsubscribe"
PAGE = "/notices/"


def address_of(path: str) -> str:
    """The whole address of a path of the site."""
    return str(settings.SITE_URL).rstrip("/") + path


def unsubscribe_address(recipient: NoticeRecipient) -> str:
    """Where the recipient says, without a log-in, that no more e-mails are wanted."""
    return address_of(f"{PAGE}unsubscribe/{signing.dumps(recipient.pk, salt=SALT)}/")


def recipient_of_token(token: str) -> int:
    """The number of the recipient that a link was made for. Raises ``signing.BadSignature``."""
    return int(signing.loads(token, salt=SALT))


def counts_of(notice: Notice) -> str:
    """The six counts in words; blank where there are none."""
    if not any(notice.counts.values()):
        return ""
    counts = notice.counts
    words = ImportJob.COUNT_WORDS.items()
    return ", ".join(f"{counts.get(name, 0):,} {word}" for name, word in words)


def _subject(notices: Sequence[Notice]) -> str:
    """Of the first, and how many more there are."""
    more = len(notices) - 1
    return notices[0].title + (f", and {more:,} more" if more else "")


def as_mail(recipient: NoticeRecipient, deliveries: Sequence[NoticeDelivery]) -> EmailMessage:
    """One message that tells of all of these."""
    user = recipient.user
    assert user is not None  # noqa: S101 (the caller sends e-mails to people)
    notices = [delivery.notice for delivery in deliveries]
    parts = []
    for notice in notices[:LISTED]:
        lines = (notice.title, notice.sentence, counts_of(notice), address_of(notice.link))
        parts.append("\n".join(line for line in lines if line))
    if len(notices) > LISTED:
        parts.append(f"And {len(notices) - LISTED:,} more: {address_of(PAGE)}")
    leave = unsubscribe_address(recipient)
    choose = address_of(f"{PAGE}settings/")
    parts.append(f"-- \nWhat you are told of: {choose}\nNo more e-mails like this: {leave}")
    # The same for the very same message again, after a worker was lost while it sent it.
    numbers = f"{recipient.pk}.{deliveries[0].pk}-{deliveries[-1].pk}"
    return EmailMessage(
        subject=_subject(notices),
        body="\n\n".join(parts) + "\n",
        to=[formataddr((user.get_full_name(), user.email))],
        headers={
            "Message-ID": f"<notices.{numbers}@{settings.SITE_URL.split('//')[-1].split(':')[0]}>",
            "Auto-Submitted": "auto-generated",
            "List-Unsubscribe": f"<{leave}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        },
    )


def as_chat(deliveries: Sequence[NoticeDelivery]) -> dict[str, Any]:
    """As Slack takes it: ``text`` for whoever knows no more, and a block for each notice."""
    notices = [delivery.notice for delivery in deliveries]
    shown = [_in_chat(notice) for notice in notices[:LISTED]]
    if len(notices) > LISTED:
        shown.append(f"And {len(notices) - LISTED:,} more: {address_of('/imports/')}")
    return {
        "text": "\n\n".join(shown),
        "blocks": [
            {"type": "section", "text": {"type": "mrkdwn", "text": text[:TEXT_MAX_LENGTH]}}
            for text in shown
        ],
    }


def _in_chat(notice: Notice) -> str:
    title = f"*<{address_of(notice.link)}|{_escaped(notice.title)}>*"
    return "\n".join(
        line for line in (title, _escaped(notice.sentence[:1_000]), counts_of(notice)) if line
    )


def _escaped(text: str) -> str:
    """A file's name must not become a link, nor call a whole channel: not in Slack's way
    (``<url|text>``, ``<!channel>``), nor in Mattermost's (``[text](url)``, ``@channel``)."""
    for sign, instead in _ESCAPES:
        text = text.replace(sign, instead)
    return text


_ESCAPES = (
    ("&", "&amp;"),
    ("<", "&lt;"),
    (">", "&gt;"),
    ("|", "¦"),
    ("](", "] ("),
    ("@", "@\N{ZERO WIDTH SPACE}"),
)
