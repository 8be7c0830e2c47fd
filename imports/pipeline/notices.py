"""Who is told when something needs a person: written in the transaction in which it happens.

Nothing is sent here. ``imports.operations.notices.sending`` finds what waits.
"""

from django.conf import settings
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import Q, QuerySet

from imports.models import ImportJob, Notice, NoticeDelivery, NoticeRecipient, Supplier

MAY_SEE = "imports.view_importjob"  # whoever may not see imports is told of none
TITLE_MAX_LENGTH = 200
SENTENCE_MAX_LENGTH = 1_000

Kind = Notice.Kind
State = NoticeDelivery.State


def tell(
    kind: str,
    *,
    supplier: Supplier | None,
    job: ImportJob | None = None,
    title: str,
    sentence: str,
    link: str,
    owner: User | None = None,
) -> Notice | None:
    """Tell everybody who wants to hear of this kind of thing; returns ``None`` if nobody does.

    ``title`` is one line, ``sentence`` says why, ``link`` is a path of the site such as
    ``/imports/7/``. Whose it is (``owner``, by default who started the job) hears of it unless he
    has chosen otherwise. Raises ``RuntimeError`` outside a transaction: nobody is to be told of
    what is then rolled back.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("a notice must be written in the transaction of what it tells of")
    owner = owner or (job.created_by if job else None)
    recipients = list(_recipients(kind, supplier, owner))
    if not recipients:
        return None
    notice = Notice.objects.create(
        kind=kind,
        supplier=supplier,
        job=job,
        title=_line(title)[:TITLE_MAX_LENGTH],
        sentence=sentence[:SENTENCE_MAX_LENGTH],
        link=link,
        counts=_counts(job) if job else {},
    )
    NoticeDelivery.objects.bulk_create(
        NoticeDelivery(
            notice=notice,
            recipient=recipient,
            state=State.PENDING if is_sent_to(recipient) else State.SHOWN,
        )
        for recipient in recipients
    )
    return notice


def may_be_told() -> QuerySet[User]:
    """The active users who may see imports."""
    return User.objects.with_perm(MAY_SEE, backend="django.contrib.auth.backends.ModelBackend")


def _recipients(
    kind: str, supplier: Supplier | None, owner: User | None
) -> QuerySet[NoticeRecipient]:
    may = may_be_told()
    if owner is not None and may.filter(pk=owner.pk).exists():
        NoticeRecipient.objects.bulk_create([NoticeRecipient(user=owner)], ignore_conflicts=True)
    of_supplier = Q(every_supplier=True)
    if supplier is not None:
        chosen = NoticeRecipient.suppliers.through.objects.filter(supplier=supplier)
        of_supplier |= Q(pk__in=chosen.values("noticerecipient"))
    return (
        NoticeRecipient.objects.filter(of_supplier, kinds__contains=[kind])
        .filter(Q(own_only=False) | Q(user__isnull=False, user=owner))
        .filter(Q(user=None, enabled=True) | Q(user__in=may))
        .select_related("user")
    )


def is_sent_to(recipient: NoticeRecipient) -> bool:
    """Whether messages go out to a recipient; a person sees what is not sent on the page."""
    if recipient.user is None:
        return recipient.enabled
    return recipient.enabled and settings.EMAIL_IS_SET_UP and bool(recipient.user.email)


def _line(text: str) -> str:
    """On one line, and of what can be printed: a file's name may have anything in it."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# --- Imports --------------------------------------------------------------------------


def tell_of_job(job: ImportJob) -> None:
    """Tell of a job that has just begun to wait for somebody, or has ended without success."""
    if (kind := _kind(job)) is None or _was_told(job, kind):
        return
    tell(
        kind,
        supplier=job.supplier,
        job=job,
        title=_TITLES[kind].format(job.file_name[-120:]),
        sentence=_sentence(job),
        link=f"/imports/{job.pk}/",  # a worker does not load all that has an address
    )


def _was_told(job: ImportJob, kind: Kind) -> bool:
    """Whether the same bytes of the same feed ended like this the time before: people know then.

    What could not be imported is fetched again each time, every few minutes perhaps.
    """
    if job.feed_id is None or kind not in (Kind.FAILED, Kind.NOTHING_IMPORTED):
        return False
    before = ImportJob.objects.filter(feed=job.feed_id, pk__lt=job.pk).order_by("-pk").first()
    return (
        before is not None
        and (before.sha256, before.error) == (job.sha256, job.error)
        and _kind(before) == kind
    )


_TITLES: dict[str, str] = {
    Kind.NEEDS_REVIEW: "“{}” waits for review",
    Kind.UNUSUAL: "“{}” looks unusual, and waits for somebody",
    Kind.NEEDS_MATCHING: "“{}” waits for its columns to be matched",
    Kind.FAILED: "“{}” could not be imported",
    Kind.NOTHING_IMPORTED: "Nothing of “{}” was imported",
    Kind.FEED_FAILED: "The feed “{}” could not be fetched",
    Kind.OVERDUE: "The feed “{}” is overdue",
}


def tell_of_feed(
    kind: Kind,
    *,
    supplier: Supplier,
    name: str,
    sentence: str,
    link: str,
    owner: User | None,
) -> Notice | None:
    """Tell of a feed that could not be fetched (``FEED_FAILED``) or is overdue (``OVERDUE``).

    ``name`` is the feed's, ``sentence`` says why, ``link`` is the path of its page, ``owner`` is
    who made it. Each call is a notice, so call it when the trouble begins, in the transaction that
    writes this down, and not again while it lasts.
    """
    title = _TITLES[kind].format(name[-120:])
    return tell(kind, supplier=supplier, title=title, sentence=sentence, link=link, owner=owner)


def _kind(job: ImportJob) -> Kind | None:
    if job.status == ImportJob.Status.AWAITING_REVIEW:
        held = job.caution == ImportJob.Caution.HELD
        return Kind.UNUSUAL if held else Kind.NEEDS_REVIEW
    if job.status == ImportJob.Status.AWAITING_MAPPING:
        return Kind.NEEDS_MATCHING
    if job.status == ImportJob.Status.FAILED:
        return Kind.FAILED
    return Kind.NOTHING_IMPORTED if job.imported_nothing else None


def _sentence(job: ImportJob) -> str:
    if job.status == ImportJob.Status.AWAITING_REVIEW:
        return " ".join(job.shown["warnings"]) or "Apply it, or discard it."
    if job.status == ImportJob.Status.AWAITING_MAPPING:
        asked = [question["message"] for question in job.found["questions"]]
        return " ".join(asked) or "Look at what its columns were taken for."
    if job.status == ImportJob.Status.FAILED:
        return job.error
    return "All of its records were refused. The page of the import says why, record by record."


def _counts(job: ImportJob) -> dict[str, int]:
    """What became of its records, or would if a review were applied."""
    waits = job.status == ImportJob.Status.AWAITING_REVIEW
    found = job.shown_counts if waits else {name: getattr(job, name) for name in job.COUNTS}
    return {name: found[name] for name in ImportJob.COUNTS}
