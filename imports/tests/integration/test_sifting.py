"""Records that change nothing are counted by one look; the end is as if each had been applied."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog.models import Change, Product
from conftest import Messages
from imports.models import ImportJob
from imports.operations import jobs
from imports.pipeline import chunks, ordering, stage
from imports.pipeline.checks import caution
from imports.pipeline.finish import sweep_leftovers
from imports.sql import staging

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "sku,name,description,price,active\n"
STORED = "".join(f"S-{n:03d},Name {n},Text,{n}.50,{n % 3 == 0}\n" for n in range(100))
# The same, some of it changed, spelt otherwise, repeated, new, without a name, refused.
CHANGED = "".join(
    f"{'s' if n == 9 else 'S'}-{n:03d},{'Other' if n % 25 == 1 else 'Name'} {n},Text,{n}.5,"
    f"{n % 3 == 0 if n % 10 else ''}\n"
    for n in range(100)
)
MORE = "NEW-1,New,,1,\nnew-1,Newer,,2,\nNEW-2,,,,\nS-050,Name 50,Text,50.50,False\nBAD,Bad,,free,\n"
FILE = HEADER + CHANGED + "S-060,Passing,,1,\n" + MORE + "S-060,Name 60,Text,60.50,True\n"


@pytest.fixture(autouse=True)
def small_chunks(settings: Any) -> None:
    settings.IMPORT_CHUNK_ROWS = 3


@pytest.fixture
def sifting(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Have records sifted, however few and however different they are; or never."""

    def switch(on: bool) -> None:
        monkeypatch.setattr(ordering, "LEAST_RECORDS", 1 if on else 10**9)
        monkeypatch.setattr(ordering, "MOST_DIFFER", 1.0)

    return switch


def store(upload: Callable[..., ImportJob], messages: Messages, content: str) -> None:
    Change.objects.all().delete()
    Product.objects.all().delete()
    upload(content, checks="warn")
    messages.run_all()


def result(job: ImportJob) -> dict[str, Any]:
    """What an import leaves, without numbers and times."""
    job.refresh_from_db()
    counted = ("total_records", "processed_records", *ImportJob.COUNTS)
    products = Product.objects.order_by("sku")
    changes = Change.objects.filter(change_set=job.change_set)
    return {
        "end": (job.status, job.error, [one for one in job.warnings if "This very" not in one]),
        "counts": {name: getattr(job, name) for name in counted},
        "products": list(
            products.values_list("sku", "name", "description", "price", "active", "version")
        ),
        "changes": sorted(changes.values_list("old_sku", "old_name", "fields"), key=str),
        "refused": sorted(job.errors.values_list("line", "code")),
        "superseded": sorted(job.superseded_records.values_list("line", "by_line", "sku")),
    }


@pytest.fixture
def expected(
    upload: Callable[..., ImportJob], messages: Messages, sifting: Callable[[bool], None]
) -> dict[str, Any]:
    """What the file leaves where all of its records are ordered and applied."""
    sifting(False)
    store(upload, messages, HEADER + STORED)
    job = upload(FILE, checks="warn")
    messages.run_all()
    left = result(job)
    assert job.sifted_out == 0
    sifting(True)
    store(upload, messages, HEADER + STORED)
    return left


def test_it_ends_as_if_all_had_been_applied(
    upload: Callable[..., ImportJob], messages: Messages, expected: dict[str, Any]
) -> None:
    job = upload(FILE, checks="warn")
    messages.run_all()
    assert result(job) == expected
    assert job.sifted_out == 93  # all but four others, one spelt otherwise, two repeated ones
    assert expected["counts"]["unchanged"] == 95


def test_a_file_that_changes_nothing_has_nothing_left_to_apply(
    upload: Callable[..., ImportJob], messages: Messages, sifting: Callable[[bool], None]
) -> None:
    sifting(True)
    store(upload, messages, HEADER + STORED)
    versions = list(Product.objects.values_list("sku", "version", "updated_at"))
    job = upload(HEADER + STORED)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.unchanged, job.sifted_out) == ("completed", 100, 100)
    assert not job.chunks.exists()
    assert list(Product.objects.values_list("sku", "version", "updated_at")) == versions


@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("how", ["cancelled", "crashed"])
def test_what_was_sifted_out_is_counted_once_when_the_file_is_read_again(
    upload: Callable[..., ImportJob],
    messages: Messages,
    expected: dict[str, Any],
    steps: int,
    how: str,
) -> None:
    """The staging table is lost after so many steps: sifting, then one chunk after the other."""
    job = upload(FILE, checks="warn")
    messages.waiting = []
    assert stage.prepare(job)
    job.refresh_from_db()
    if steps:
        jobs.advance_import(job.pk)
        for _ in range(steps - 1):
            chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
            assert chunk is not None
            chunks._DO[ImportJob.Stage.APPLYING](chunk)
    if how == "cancelled":
        jobs.cancel_import(job_id=job.pk, user=None)
        sweep_leftovers()
        jobs.retry_import(job_id=job.pk, user=None)
    with connection.cursor() as cursor:
        if how == "crashed":
            cursor.execute(f"TRUNCATE {staging.staging_table(job.pk)}")
            jobs.advance_import(job.pk)
        else:
            assert not staging.staging_exists(cursor, job.pk)
    messages.run_all()
    assert result(job) == expected


def test_a_cancel_during_the_look_leaves_all_records_staged(
    upload: Callable[..., ImportJob],
    messages: Messages,
    expected: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = upload(FILE, checks="warn")
    messages.waiting = []
    assert stage.prepare(job)
    job.refresh_from_db()
    settle = ordering.settle

    def settle_cancelled(*args: Any, **values: Any) -> None:
        settle(*args, **values)
        ImportJob.objects.filter(pk=job.pk).update(status="cancelled")

    with monkeypatch.context() as patch:
        patch.setattr(ordering, "settle", settle_cancelled)
        assert not caution.look(job)
    job.refresh_from_db()
    with connection.cursor() as cursor:
        assert staging.count_staged(cursor, job.pk) == job.staged_records
    assert (job.sifted_out, job.unchanged) == (0, 0)


def test_what_looks_unusual_is_compared_as_a_whole(
    upload: Callable[..., ImportJob], messages: Messages, sifting: Callable[[bool], None]
) -> None:
    sifting(True)
    store(upload, messages, HEADER + STORED)
    job = upload(HEADER + STORED.replace("S-050,Name 50,Text,50.50", "S-050,Name 50,Text,5050"))
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.sifted_out) == ("awaiting_review", 0)
    assert job.shown["counts"]["unchanged"] == 99
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.updated, job.unchanged) == ("completed", 1, 99)


def test_a_short_file_and_one_that_changes_much_are_ordered_at_once(
    upload: Callable[..., ImportJob], messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ordering, "LEAST_RECORDS", 100)
    store(upload, messages, HEADER + STORED)
    changed = STORED.replace("Text", "Another text")
    for content, put_off in ((STORED, True), (STORED[:-20], False), (changed, False)):
        job = upload(HEADER + content)
        assert stage.prepare(job)
        assert ordering.is_put_off(job) == put_off, content[:100]
        jobs.cancel_import(job_id=job.pk, user=None)
        messages.waiting = []


SKUS = st.sampled_from(["a", "A", "b", "B", "c", "ß", "É", "é", "i", "İ", "x-1", "X-1"])
NAMES = st.sampled_from(["", "Lamp", "lamp", "Tea"])
PRICES = st.sampled_from(["", "1", "1.00", "2.5", "0"])
FLAGS = st.sampled_from(["", "true", "false"])
RECORDS = st.lists(st.tuples(SKUS, NAMES, NAMES, PRICES, FLAGS), max_size=8)
COLUMNS = st.sets(st.sampled_from(["name", "description", "price", "active"]))


@given(before=RECORDS, after=RECORDS, columns=COLUMNS, mode=st.sampled_from(["upsert", "update"]))
@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_file_over_any_catalogue_ends_the_same_way(
    upload: Callable[..., ImportJob],
    messages: Messages,
    sifting: Callable[[bool], None],
    before: list[tuple[str, ...]],
    after: list[tuple[str, ...]],
    columns: set[str],
    mode: str,
) -> None:
    names = ["sku", *sorted(columns)]
    places = [["sku", "name", "description", "price", "active"].index(name) for name in names]
    records = [",".join(record[place] for place in places) for record in [*before[:4], *after]]
    content = ",".join(names) + "\n" + "\n".join(records) + "\n"
    ends = []
    for on in (False, True):
        sifting(on)
        store(upload, messages, HEADER + "".join(",".join(one) + "\n" for one in before))
        job = upload(content, checks="warn", mode={"update": "update_only"}.get(mode, mode))
        messages.run_all()
        ends.append(result(job))
    assert ends[0] == ends[1]


def test_a_retry_at_once_looks_at_the_whole_file_again(
    upload: Callable[..., ImportJob], messages: Messages, sifting: Callable[[bool], None]
) -> None:
    store(upload, messages, HEADER + STORED)
    sifting(True)
    job = upload(HEADER + STORED.replace("Name 7,", "Other 7,").replace("Name 70,", "Other 70,"))
    messages.waiting.clear()
    assert stage.prepare(job)
    jobs.advance_import(job.pk)
    job.refresh_from_db()
    assert (job.caution, job.sifted_out) == ("clear", 98)
    jobs.cancel_import(job_id=job.pk, user=None)
    jobs.retry_import(job_id=job.pk, user=None)  # before what is left is cleared away
    assert not job.chunks.exists()  # those that were cut for two records
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.warnings, job.updated, job.unchanged) == ("completed", [], 2, 98)
