"""Stored files that no job refers to: the web process was killed before it could write one."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.core.files.storage import Storage

from imports.models import ImportJob, Upload, uploads

AGE = timedelta(days=1)  # younger ones may be on their way to a job
BATCH = 100  # deleted in one run
RUN_SECONDS = 600  # between two runs (CELERY_BEAT_SCHEDULE)


def clear_orphans(now: datetime) -> list[str]:
    """Delete stored files without a job in one day's folder, and return their names.

    Each run looks at another day, so that all have their turn and none looks at everything.
    """
    storage = uploads()
    days = sorted(_days(storage))
    if not days:
        return []
    day = days[int(now.timestamp()) // RUN_SECONDS % len(days)]
    names = [f"{day}/{file}" for file in storage.listdir(day)[1]]
    known = {
        *ImportJob.objects.filter(file__startswith=f"{day}/").values_list("file", flat=True),
        *ImportJob.objects.filter(table__startswith=f"{day}/").values_list("table", flat=True),
        *Upload.objects.filter(name__startswith=f"{day}/").values_list("name", flat=True),
    }
    gone = []
    for name in names:
        if name not in known and storage.get_modified_time(name) < now - AGE:
            storage.delete(name)
            gone.append(name)
        if len(gone) == BATCH:
            break
    return gone


def _days(storage: Storage) -> Iterator[str]:
    """The folders that ``upload_path`` makes: year, month, day."""
    try:
        years = storage.listdir("")[0]
    except FileNotFoundError:
        return  # nothing was ever uploaded
    for year in years:
        for month in storage.listdir(year)[0]:
            for day in storage.listdir(f"{year}/{month}")[0]:
                yield f"{year}/{month}/{day}"
