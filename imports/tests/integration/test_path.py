"""How often the way of a file into the catalogue goes from one of our source files to another.

Counted is each call of a function of ours out of another file of ours, whatever library stands
between, properties and resumed generators too; returns are not. The record of the figures is
docs/decisions/0072-the-path-of-a-file.md.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType
from typing import Any

import pytest
from django.conf import settings

from conftest import Messages
from imports.models import ImportJob
from imports.pipeline import apply, chunks, stage

RECORDS = 2000
CONTENT = "sku,name,description,price,active\n" + "".join(
    f"P-{number:05d},Product {number},What it is,{number % 90 + 1}.50,true\n"
    for number in range(RECORDS)
)

Calls = list[tuple[str, str]]


@contextmanager
def counted() -> Iterator[Calls]:
    """The calls from one file of ours to another, as they are made in this thread."""
    calls: Calls = []
    places: dict[CodeType, str] = {}

    def place(code: CodeType) -> str:
        """The path of a file of ours below the folder of all apps; blank for any other."""
        if code not in places:
            path = code.co_filename.removeprefix(f"{settings.BASE_DIR}/")
            is_ours = path.startswith(("imports/", "catalog/", "webhooks/", "product_importer/"))
            places[code] = path if is_ours and "/tests/" not in path else ""
        return places[code]

    def note(frame: FrameType, event: str, _: Any) -> None:
        here = place(frame.f_code) if event == "call" else ""
        caller = frame.f_back if here else None
        while caller is not None and not place(caller.f_code):
            caller = caller.f_back
        if here and (there := place(caller.f_code) if caller else "") != here:
            calls.append((there, here))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield calls
    finally:
        sys.setprofile(before)


def test_a_file_comes_into_the_catalogue_by_few_changes_of_file(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "SLICE_SECONDS", 600)  # one, however slow the machine is
    with counted() as calls:
        job = upload(CONTENT)
        messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.created) == ("completed", RECORDS)
    files = {called for _, called in calls}
    print(f"{len(calls)} changes of file, by {len(set(calls))} ways between {len(files)} files")
    assert (len(calls) <= 229, len(set(calls)) <= 119, len(files) <= 62) == (True, True, True)


def test_a_chunk_is_applied_by_few_changes_of_file(
    upload: Callable[..., ImportJob], messages: Messages
) -> None:
    job = upload(CONTENT)
    messages.run_all(until=job.chunks.exists)
    with counted() as calls:
        chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
        assert chunk is not None
        apply.apply_chunk(chunk)
    job.refresh_from_db()
    assert job.created == RECORDS
    inner = [call for call in calls if call[0]]  # the test itself calls the claim and the chunk
    assert len(inner) + 1 <= 11, inner
