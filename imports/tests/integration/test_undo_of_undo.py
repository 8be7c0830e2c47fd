"""An undo takes back what its change set did and nothing else, also where undos are undone."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Max, Min
from django.test import Client

from catalog.models import Change, ChangeSet, Product, RemovedProduct, UndoConflict
from catalog.operations import bulk, undo
from catalog.operations import products as catalog
from catalog.queries.products import change_set_entries
from catalog.sql import acts
from catalog.sql import undo as sql_undo
from conftest import Messages
from imports.models import ImportJob
from imports.operations import jobs
from imports.pipeline import apply, chunks
from imports.tests.integration.test_undo import kept, rows_read

pytestmark = pytest.mark.django_db(transaction=True)

Undone = Callable[..., ChangeSet]


@pytest.fixture
def deleted(messages: Messages) -> Callable[[], ChangeSet]:
    """Delete all products in bulk, and return the change set."""

    def run() -> ChangeSet:
        change_set = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None)
        messages.run_all()
        change_set.refresh_from_db()
        return change_set

    return run


def edit(product: Product, **values: Any) -> ChangeSet:
    edited = catalog.update_product(product_id=product.pk, actor=None, data=values)
    assert edited.changed_in
    return edited.changed_in


def skus() -> list[str]:
    return list(Product.objects.order_by("sku").values_list("sku", flat=True))


def test_a_product_that_an_undo_never_brought_back_stays_when_the_undo_is_undone(
    make_product: Callable[..., Product], deleted: Callable[[], ChangeSet], undone: Undone
) -> None:
    a = make_product("a")
    make_product("b")
    deletion = deleted()
    first = undone(deletion)
    change = edit(a, name="Changed")
    second = undone(first)
    assert (second.deleted, second.conflicts) == (1, 1)
    third = undone(deletion)
    assert (third.created, third.conflicts) == (1, 1)
    undone(change)
    fourth = undone(third)
    assert (fourth.deleted, fourth.conflicts) == (1, 0)
    assert skus() == ["a"]


def test_an_undo_lists_nothing_that_its_change_set_left_alone(
    make_product: Callable[..., Product], deleted: Callable[[], ChangeSet], undone: Undone
) -> None:
    a = make_product("a")
    make_product("b")
    deletion = deleted()
    first = undone(deletion)
    edit(a, name="Changed")
    undone(first)
    third = undone(deletion)
    edit(a, name="Changed again")
    fourth = undone(third)
    assert (fourth.deleted, fourth.conflicts) == (1, 0)


def test_an_undo_of_one_that_failed_leaves_alone_what_that_one_never_reached(
    make_product: Callable[..., Product],
    deleted: Callable[[], ChangeSet],
    undone: Undone,
    broken_undo: Callable[..., ChangeSet],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sql_undo, "SLICE_ROWS", 1)
    products = [make_product(sku) for sku in "abcd"]
    deletion = deleted()
    failed = broken_undo(deletion, slices=2)
    assert (failed.status, failed.created, skus()) == ("failed", 2, ["a", "b"])
    change = edit(products[0], name="Changed")
    taken_back = undone(failed)  # keeps a
    assert undone(deletion).created == 3
    undone(change)
    catalog.delete_product(product_id=products[1].pk, actor=None)
    undone(taken_back)  # b is there again: the one that failed has its effect again
    listed = change_set_entries(failed, action="created", page=1)
    assert [entry.sku for entry in listed.entries] == ["a", "b"]
    last = undone(failed)
    assert (last.deleted, last.conflicts, skus()) == (2, 0, ["c", "d"])


def test_a_product_that_is_there_under_another_sku_is_kept_as_changed(
    make_product: Callable[..., Product], deleted: Callable[[], ChangeSet], undone: Undone
) -> None:
    a = make_product("a")
    make_product("b")
    deletion = deleted()
    first = undone(deletion)
    change = edit(a, sku="z")
    undone(first)
    assert kept(undone(deletion)) == [("a", "changed", change.pk)]
    assert skus() == ["b", "z"]


def test_versions_grow_when_a_product_comes_back_for_the_second_time(
    make_product: Callable[..., Product], undone: Undone
) -> None:
    product = make_product("a")
    deletion = catalog.delete_product(product_id=product.pk, actor=None)
    first = undone(deletion)
    undone(edit(product, name="Changed"))
    undone(first)
    [latest] = RemovedProduct.objects.filter(id=product.pk).exclude(change_set=deletion)
    undone(deletion)
    product.refresh_from_db()
    assert product.version == latest.version + 1 > 4


def test_a_kept_product_is_listed_with_who_deleted_it_last_or_took_its_sku(
    make_product: Callable[..., Product], undone: Undone
) -> None:
    a, b = make_product("a"), make_product("b")
    changes = [edit(a, name="Changed"), edit(b, sku="z")]
    early = catalog.delete_product(product_id=a.pk, actor=None)
    first = undone(early)
    latest = undone(first)
    taker = make_product("B", created_in=latest, changed_in=latest)
    assert kept(undone(changes[0])) == [("a", "deleted", latest.pk)]
    assert kept(undone(changes[1])) == [("z", "sku_taken", taker.changed_in_id)]


def test_a_product_of_unknown_origin_that_is_gone_is_kept_as_deleted(
    make_product: Callable[..., Product], undone: Undone
) -> None:
    product = make_product("a")
    assert product.changed_in_id is None
    first = undone(edit(product, name="Changed"))
    gone = catalog.delete_product(product_id=product.pk, actor=None)
    assert kept(undone(first)) == [("a", "deleted", gone.pk)]


def test_what_an_import_changed_twice_is_taken_back_to_the_edit_in_between(
    upload: Callable[..., ImportJob],
    messages: Messages,
    make_product: Callable[..., Product],
    undone: Undone,
    settings: Any,
) -> None:
    settings.IMPORT_CHUNK_ROWS = 1
    old = make_product("a-old", "Before")
    job = upload("sku,name\na-old,First\nb-new,First\ny-old,Second\nz-new,Second\n")
    messages.waiting.clear()
    jobs.advance_import(job.pk)
    while job.chunks.exclude(done_at=None).count() < 3:
        chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
        assert chunk
        apply.apply_chunk(chunk)
    new = Product.objects.get(sku="b-new")
    edit(old, sku="y-old")
    edit(new, sku="z-new")
    jobs.advance_import(job.pk)
    messages.run_all()
    job.refresh_from_db()
    assert job.change_set
    names = dict(Product.objects.values_list("sku", "name"))
    assert names == {"y-old": "Second", "z-new": "Second"}
    started = undone(job.change_set)
    assert dict(Product.objects.values_list("sku", "name")) == {
        "y-old": "First",
        "z-new": "First",
    }
    assert (started.updated, started.deleted, started.conflicts) == (2, 0, 2)
    undone(started)
    assert dict(Product.objects.values_list("sku", "name")) == names


# --- What changed nothing ---------------------------------------------------------------


def test_an_undo_that_changed_nothing_can_be_tried_again(
    make_product: Callable[..., Product], undone: Undone, page: Client
) -> None:
    product = make_product("a", "Before")
    first = edit(product, name="First")
    second = edit(product, name="Second")
    assert undone(first).conflicts == 1
    undone(second)
    assert undo.undo_of(first) is None
    shown = page.get(f"/api/v1/change-sets/{first.pk}/").json()
    assert shown["undoable"] is True
    listed = page.get("/api/v1/change-sets/").json()["results"]
    assert [one["undoable"] for one in listed if one["id"] == first.pk] == [True]
    assert undone(first).updated == 1
    product.refresh_from_db()
    assert product.name == "Before"
    refused = page.post(f"/api/v1/change-sets/{first.pk}/undo/")
    assert refused.status_code == 409
    assert "undone already" in refused.content.decode()


def test_an_undo_that_has_not_changed_anything_yet_is_not_started_twice(
    make_product: Callable[..., Product], messages: Messages
) -> None:
    change = edit(make_product("a"), name="Changed")
    undo.start_undo(change_set_id=change.pk, actor=None)
    with pytest.raises(undo.NotUndoable, match="undone already"):
        undo.start_undo(change_set_id=change.pk, actor=None)


def test_a_cancelled_import_goes_on_if_its_undo_changed_nothing(
    upload: Callable[..., ImportJob],
    messages: Messages,
    make_product: Callable[..., Product],
    undone: Undone,
    settings: Any,
) -> None:
    settings.IMPORT_CHUNK_ROWS = 1
    product = make_product("a", "Before")
    job = upload("sku,name\na,First\nb,First\nc,First\n")
    messages.waiting.clear()
    jobs.advance_import(job.pk)
    while not Product.objects.filter(name="First").exists():
        chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
        assert chunk
        apply.apply_chunk(chunk)
    jobs.cancel_import(job_id=job.pk, user=None)
    edit(product, name="Edited")
    job.refresh_from_db()
    assert job.change_set
    assert undone(job.change_set).changed == 0
    jobs.retry_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, skus()) == ("completed", ["a", "b", "c"])


def test_an_import_whose_undo_failed_half_way_is_not_retried(
    upload: Callable[..., ImportJob],
    messages: Messages,
    broken_undo: Callable[..., ChangeSet],
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.IMPORT_CHUNK_ROWS = 1
    monkeypatch.setattr(sql_undo, "SLICE_ROWS", 1)
    job = upload("sku,name\na,First\nb,First\nc,First\n")
    messages.waiting.clear()
    jobs.advance_import(job.pk)
    while chunk := chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING):
        apply.apply_chunk(chunk)
    jobs.cancel_import(job_id=job.pk, user=None)
    job.refresh_from_db()
    assert job.change_set
    assert broken_undo(job.change_set, slices=1).deleted == 1
    with pytest.raises(jobs.Refused, match="half-way"):
        jobs.retry_import(job_id=job.pk, user=None)
    undo.start_undo(change_set_id=job.change_set.pk, actor=None)
    messages.run_all()
    assert skus() == []


# --- How much is read -------------------------------------------------------------------


ROWS = 2000


@pytest.fixture
def cleared(imported: Callable[..., ChangeSet], deleted: Callable[[], ChangeSet]) -> ChangeSet:
    """The deletion of so many products; the planner believes from then on that there are none."""
    imported("".join(f"S-{n:04d},Name,,,yes\n" for n in range(ROWS)))
    deletion = deleted()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalog_product; ANALYZE catalog_undoconflict")
    return deletion


@pytest.mark.parametrize("conflicts", [0, 1000], ids=["nothing kept", "half of them kept"])
def test_undoing_a_large_undo_reads_each_product_a_few_times(
    imported: Callable[..., ChangeSet], cleared: ChangeSet, undone: Undone, conflicts: int
) -> None:
    imported("".join(f"s-{n:04d},Another,,,\n" for n in range(conflicts)))
    brought_back = undone(cleared)
    assert UndoConflict.objects.filter(change_set=brought_back).count() == conflicts
    params = {"undo": 0, "undone": brought_back.pk, "before": cleared.pk}
    params |= {"first": 0, "last": 10**9}
    where, names = sql_undo.BROUGHT_BACK_AS_LEFT
    slice_sql = f"SELECT id FROM catalog_product WHERE {where}"
    with transaction.atomic(), connection.cursor() as cursor:
        sql_undo.forecast(cursor, params)  # its settings
        assert read(cursor, sql_undo._forecast(()), params) <= 12 * ROWS
        cursor.execute(sql_undo.SETTINGS)
        assert read(cursor, slice_sql, tuple(params[name] for name in names)) <= 12 * ROWS
        assert read(cursor, sql_undo._BROUGHT_BACK_AND_CHANGED, params) <= 12 * ROWS
        transaction.set_rollback(True)


def test_changing_a_catalogue_that_came_back_and_undoing_it_reads_each_product_a_few_times(
    cleared: ChangeSet, undone: Undone, messages: Messages
) -> None:
    undone(cleared)
    statement = acts._SET_ACTIVE.format(where="id BETWEEN %s AND %s")
    with transaction.atomic(), connection.cursor() as cursor:
        assert read(cursor, statement, [0, 10**9, False, False, 0, 0, False]) <= 20 * ROWS
        transaction.set_rollback(True)
    change_set = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_EDIT, actor=None, active=False)
    messages.run_all()
    changes = Change.objects.filter(change_set=change_set)
    assert changes.count() == ROWS
    params = {"undo": 0, "undone": change_set.pk, "before": None}
    params |= changes.aggregate(first=Min("id"), last=Max("id"))
    with transaction.atomic(), connection.cursor() as cursor:
        sql_undo.forecast(cursor, params)  # its settings
        assert read(cursor, sql_undo._forecast(()), params) <= 12 * ROWS
        sql_undo.forecast(cursor, params, changes=ROWS)
        assert read(cursor, sql_undo._forecast((), at_once=True), params) <= 12 * ROWS
        cursor.execute(sql_undo.SETTINGS)
        assert read(cursor, sql_undo._restore(()), params) <= 30 * ROWS
        transaction.set_rollback(True)


def read(cursor: Any, statement: str, params: Any) -> float:
    cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, params)
    [(plan,)] = cursor.fetchall()
    return rows_read(plan[0]["Plan"])
