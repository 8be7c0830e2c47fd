"""Refused records: what is kept of them, and ``rejects.csv``, which has all and runs nothing."""

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from catalog.models import Product
from conftest import Messages
from imports.models import ImportJob
from imports.pipeline import stage
from imports.queries import rejects
from imports.sql import staging

HEADER = "sku,name,description,price,active\n"
REFUSED = (
    HEADER
    + "A-1,Lamp,,free,true\n"
    + "A-2\n"
    + 'A-3,"two\nlines",,free,true\n'
    + "G-1,Good,,1.00,true\n"
    + 'A-4,"text"after,,1.00,true\n'
    + "A-5,Lamp,,1.00,true,more,,\n"
    + "A-6,Lamp,,,maybe\n"
)


@pytest.fixture
def imported(upload: Callable[..., ImportJob], messages: Messages) -> Callable[..., ImportJob]:
    """Import these bytes in this process."""

    def run(content: bytes | str, **values: Any) -> ImportJob:
        job = upload(content, **values)
        messages.run_all()
        job.refresh_from_db()
        assert job.status == "completed", job.error
        assert job.accounted_records == job.total_records == job.processed_records
        return job

    return run


def rejected(job: ImportJob) -> list[list[str]]:
    text = "".join(rejects.rejects_csv(job))
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=job.layout["delimiter"]))


# --- What is kept ---------------------------------------------------------------------


def test_details_are_kept_up_to_a_bound_and_rejects_csv_has_all(
    imported: Callable[..., ImportJob], monkeypatch: pytest.MonkeyPatch, page: Client
) -> None:
    whole = imported(REFUSED)
    assert (whole.rejected, whole.errors.count(), whole.warnings) == (6, 6, [])
    monkeypatch.setattr(staging, "DETAILS_ROWS", 4)
    job = imported(REFUSED)
    assert (job.rejected, job.errors.count()) == (6, 4)
    assert staging.PARTLY_KEPT in job.warnings
    assert rejected(job) == rejected(whole)
    assert (
        "4 of 6 refused records are listed"
        in page.get(f"/imports/{job.pk}/rejected/").content.decode()
    )


def test_they_are_bounded_in_bytes_as_well(
    imported: Callable[..., ImportJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "DETAILS_BYTES", 1000)
    job = imported(HEADER + "".join(f"A-{n},{'x' * 400},,free,true\n" for n in range(9)))
    assert (job.rejected, job.errors.count()) == (9, 3)
    assert [row[0] for row in rejected(job)[1:]] == [f"A-{n}" for n in range(9)]


def test_the_bound_holds_over_many_transactions(
    imported: Callable[..., ImportJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "DETAILS_ROWS", 7)
    monkeypatch.setattr(stage, "SLICE_SECONDS", 0)
    monkeypatch.setattr("imports.readers.csv.lines.BLOCK_SIZE", 64)
    job = imported(HEADER + "".join(f"A-{n},x,,free,true\n" for n in range(30)))
    assert (job.rejected, job.errors.count()) == (30, 7)
    assert job.warnings.count(staging.PARTLY_KEPT) == 1
    assert len(rejected(job)) == 31


def test_records_that_only_the_catalogue_refuses_are_bounded_too(
    imported: Callable[..., ImportJob],
    make_product: Callable[..., Product],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_product("K-1", "Known")
    lines = ["N-1,1.00", "B-1,free", 'N-2\\x,"2.00"', "K-1,3.00", '"N-3 ""é""",4.00', "B-2,dear"]
    whole = imported("sku,price\n" + "\n".join(lines))
    assert (whole.updated, whole.rejected, whole.errors.count()) == (1, 5, 5)
    for bound in (0, 3):
        monkeypatch.setattr(staging, "DETAILS_ROWS", bound)
        job = imported("sku,price\n" + "\n".join(lines))
        assert (job.unchanged, job.rejected, job.errors.count()) == (1, 5, bound)
        assert job.warnings.count(staging.PARTLY_KEPT) == 1
        assert rejected(job) == rejected(whole)


def test_without_the_file_there_is_what_is_kept_and_the_page_says_so(
    imported: Callable[..., ImportJob], monkeypatch: pytest.MonkeyPatch, page: Client
) -> None:
    monkeypatch.setattr(staging, "DETAILS_ROWS", 4)
    job = imported(REFUSED)
    job.file.storage.delete(str(job.file.name))
    assert len(rejected(job)) == 1 + 4
    job.file = ""
    job.save(update_fields=["file"])
    assert len(rejected(job)) == 1 + 4
    text = page.get(f"/imports/{job.pk}/rejected/").content.decode()
    assert "rejects.csv has only these" in text


def test_counts_still_add_up_when_a_file_with_more_is_read_again(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "DETAILS_ROWS", 2)
    job = upload(REFUSED)
    messages.run_all(until=lambda: ImportJob.objects.get(pk=job.pk).resolved_at)
    job.refresh_from_db()
    assert job.rejected == 6
    stage.stage_again(job)  # as after a crash of the server
    messages.run_all()
    job.refresh_from_db()
    assert job.status == "completed", job.error
    assert (job.total_records, job.rejected, job.created, job.errors.count()) == (7, 6, 1, 2)
    assert job.accounted_records == job.total_records


def test_blank_cells_at_the_end_are_not_stored(imported: Callable[..., ImportJob]) -> None:
    job = imported(HEADER + "A-1,,,,\n" + "A-2,Lamp,,\n" + "A-3,Lamp,,,,,more\n")
    assert [error.record for error in job.errors.all()] == [
        ["A-1"],
        ["A-2", "Lamp"],
        ["A-3", "Lamp", "", "", "", "", "more"],
    ]
    assert [row[:5] for row in rejected(job)[1:]] == [
        ["A-1", "", "", "", ""],
        ["A-2", "Lamp", "", "", ""],
        ["A-3", "Lamp", "", "", ""],
    ]
    again = imported("".join(rejects.rejects_csv(job)))  # not mended
    codes = [error.code for error in again.errors.all()]
    assert codes == ["blank_name", "too_few_fields", "too_many_fields"]


def test_superseded_records_are_bounded_too(
    imported: Callable[..., ImportJob], monkeypatch: pytest.MonkeyPatch, page: Client
) -> None:
    monkeypatch.setattr(staging, "DETAILS_ROWS", 3)
    job = imported("sku,name\n" + "A-1,Lamp\n" * 9)
    assert (job.superseded, list(job.superseded_records.values_list("line", flat=True))) == (
        8,
        [2, 3, 4],
    )
    text = page.get(f"/imports/{job.pk}/superseded/").content.decode()
    assert "3 of 8 superseded records are listed" in text


# --- Formulas -------------------------------------------------------------------------

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+SUM(A1)",
    "-2 years",
    "@home",
    "\uff1dcmd",
    "\uff0bSUM",
    "\uff0dx",
    "\uff20x",
    "'=quoted",
    "''=twice",
    "-5",
    "plain",
    "'s",
]


def test_rejects_csv_runs_nothing_in_a_spreadsheet(imported: Callable[..., ImportJob]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(["sku", "name", "=evil()", "price", "-description"])
    for number, text in enumerate(FORMULAS):
        writer.writerow([f"A-{number}", text, text, "=1+1", text])
    writer.writerow(["A", "b", "c", "1", "d", "=too", "many"])
    job = imported(buffer.getvalue())
    assert job.rejected == len(FORMULAS) + 1
    for row in rejected(job):
        for cell in row:
            assert cell == "-5" or cell[:1] not in tuple("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_mended_rejects_csv_brings_the_values_that_the_file_had(
    imported: Callable[..., ImportJob], encoding: str
) -> None:
    """Refused twice on its way, and mended then: each import takes one apostrophe off."""
    taken, refused = io.StringIO(), io.StringIO()
    for buffer, price in ((taken, "1.00"), (refused, "free")):
        writer = csv.writer(buffer)
        writer.writerow(["sku", "name", "price", "-description"])
        writer.writerows([f"{n}{text}", text, price, text] for n, text in enumerate(FORMULAS))
    imported(taken.getvalue().encode(encoding))
    expected = stored()
    assert len(expected) == len(FORMULAS)
    Product.objects.all().delete()

    job = imported(refused.getvalue().encode(encoding))
    again = imported("".join(rejects.rejects_csv(job)))
    assert again.rejected == len(FORMULAS)
    assert imported("".join(rejects.rejects_csv(again)).replace("free", "1.00")).rejected == 0
    assert stored() == expected


def stored() -> list[tuple[Any, ...]]:
    return sorted(Product.objects.values_list("sku", "name", "description", "price"))
