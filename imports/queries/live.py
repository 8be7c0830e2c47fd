"""What every page follows: what runs, what of it has ended, what waits, what has moved."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Max, Q

from catalog.models import ChangeSet
from catalog.queries.products import unfinished_bulk_acts
from imports.models import Feed, ImportJob
from imports.queries.outcomes import tell_undone

SHOWN = 3  # of each kind in the bar
FOLLOWED = 20  # jobs that a page was following, at most


@dataclass(frozen=True)
class Live:
    """``version`` is another one after whatever a list of imports, feeds or changes would show."""

    running_jobs: list[ImportJob]
    running_acts: list[ChangeSet]
    ended_jobs: list[ImportJob]
    waiting: int
    version: str

    @property
    def is_moving(self) -> bool:
        return bool(self.running_jobs or self.running_acts)


def live(
    *, followed: Collection[int] = (), except_job: int | None = None, except_act: int | None = None
) -> Live:
    """What the bar shows; ``followed`` are the jobs that it has shown, whose ends are told."""
    running = list(ImportJob.unfinished())
    ended = ImportJob.listed().filter(pk__in=list(followed)[:FOLLOWED])
    state = ImportJob.objects.aggregate(
        newest=Max("pk"),
        moved=Max("progress_at"),
        waiting=Count("pk", filter=Q(status__in=ImportJob.AWAITING)),
        left_out=Max("review_version"),
    )
    feeds = Feed.objects.aggregate(count=Count("pk"), changed=Max("changed_at"))
    return Live(
        running_jobs=[job for job in running if job.pk != except_job][:SHOWN],
        running_acts=list(unfinished_bulk_acts().exclude(pk=except_act or 0)[:SHOWN]),
        ended_jobs=tell_undone(
            ended.exclude(status__in=ImportJob.ACTIVE).exclude(pk=except_job or 0)
        ),
        waiting=state.pop("waiting"),
        version=_text([*state.values(), *feeds.values(), _change_sets()]),
    )


def _change_sets() -> Any:
    """Every write to products is a change set: the newest, and how far those under way are."""
    newest = ChangeSet.objects.order_by("-pk").values_list("pk", "status", "progress_at").first()
    unfinished = ChangeSet.objects.filter(status__in=ChangeSet.UNFINISHED).order_by("pk")
    return newest, list(unfinished.values_list("pk", "status", "progress_at"))


def _text(values: list[Any]) -> str:
    return "|".join(map(str, values))
