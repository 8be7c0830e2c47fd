"""How imports ended, for lists: which of them were undone since."""

from collections.abc import Iterable

from catalog.operations.undo import undo_of
from catalog.queries.products import listed_change_sets
from imports.models import ImportJob


def tell_undone(jobs: Iterable[ImportJob]) -> list[ImportJob]:
    """Put the undo that stands into ``undone_by`` of each job: a few queries for all of them."""
    shown = list(jobs)
    ids = [job.change_set_id for job in shown if job.change_set_id]
    change_sets = {one.pk: one for one in listed_change_sets().filter(pk__in=ids)} if ids else {}
    for job in shown:
        if change_set := change_sets.get(job.change_set_id or 0):
            job.undone_by = undo_of(change_set)
    return shown
