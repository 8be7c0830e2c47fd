"""Undo of imports and of everything else, through the operations that the workers run."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import Max, Min
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from catalog.models import ChangeSet, Product, RemovedProduct
from catalog.operations import bulk, undo
from catalog.operations import products as catalog
from catalog.queries.products import change_set_entries
from catalog.sql import undo as sql_undo
from conftest import Messages
from imports.models import ImportJob
from imports.operations import jobs
from imports.pipeline import apply, chunks
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

HEADER = "sku,name,description,price,active\n"
VALUES = ("id", "sku", "name", "description", "price", "active", "created_in_id", "changed_in_id")


def catalogue() -> list[tuple[Any, ...]]:
    return list(Product.objects.order_by("id").values_list(*VALUES))


def kept(started: ChangeSet) -> list[tuple[str, str, int | None]]:
    return list(started.kept.order_by("sku").values_list("sku", "reason", "other_id"))


def test_an_import_is_taken_back_and_redone(
    imported: Callable[..., ChangeSet], undone: Callable[..., ChangeSet]
) -> None:
    imported("A-1,Lamp,text,1.00,no\nA-2,Chair,,2.00,yes\n")
    before = catalogue()
    second = imported("a-1,Desk lamp,,9.00,yes\nB-1,New,,1.00,yes\n")
    after = catalogue()
    first_undo = undone(second)
    assert catalogue() == before
    assert (first_undo.updated, first_undo.deleted, first_undo.created) == (1, 1, 0)
    redo = undone(first_undo)
    assert catalogue() == after
    assert (redo.updated, redo.created, redo.deleted) == (1, 1, 0)
    undone(redo)
    assert catalogue() == before
    assert Event.objects.filter(type="import.undone").count() == 1


def test_imports_are_taken_back_one_after_the_other_newest_first(
    imported: Callable[..., ChangeSet], undone: Callable[..., ChangeSet]
) -> None:
    states: list[Any] = [catalogue()]
    sets = []
    for price in (1, 2, 3):
        sets.append(imported(f"A-1,Lamp,,{price}.00,yes\nB-{price},New,,,\n"))
        states.append(catalogue())
    for change_set, state in zip(reversed(sets), states[-2::-1], strict=True):
        assert undone(change_set).conflicts == 0
        assert catalogue() == state


def test_what_somebody_changed_since_is_kept_and_listed(
    imported: Callable[..., ChangeSet],
    undone: Callable[..., ChangeSet],
    make_user: Callable[..., User],
) -> None:
    imported("A-1,Lamp,,1.00,\nA-2,Chair,,1.00,\nA-3,Table,,1.00,\n")
    change_set = imported(
        "A-1,Lamp,,2.00,\nA-2,Chair,,2.00,\nA-3,Table,,2.00,\nB-1,N,,,\nB-2,N,,,\n"
    )
    eve = make_user("eve", "editor")
    ids = dict(Product.objects.values_list("sku", "id"))
    catalog.update_product(product_id=ids["A-1"], actor=eve, data={"name": "Edited"})
    catalog.update_product(product_id=ids["B-1"], actor=eve, data={"name": "Edited"})
    deleted = catalog.delete_product(product_id=ids["A-2"], actor=eve)
    catalog.delete_product(product_id=ids["B-2"], actor=eve)  # what the undo wants anyway
    started = undone(change_set)
    assert [(sku, reason) for sku, reason, _ in kept(started)] == [
        ("A-1", "changed"),
        ("A-2", "deleted"),
        ("B-1", "changed"),
    ]
    assert {conflict.other.actor for conflict in started.kept.all()} == {eve}  # type: ignore[union-attr]
    assert started.kept.get(sku="A-2").other == deleted
    assert set(Product.objects.values_list("sku", "name", "price")) == {
        ("A-1", "Edited", Decimal("2.00")),
        ("A-3", "Table", Decimal("1.00")),
        ("B-1", "Edited", None),
    }


def test_a_bulk_delete_is_taken_back_with_the_old_numbers(
    imported: Callable[..., ChangeSet], undone: Callable[..., ChangeSet], messages: Messages
) -> None:
    imported("".join(f"S-{n:03d},Name {n},text {n},{n}.50,{n % 2}\n" for n in range(100)))
    before = catalogue()
    change_set = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None)
    messages.run_all()
    assert catalogue() == []
    started = undone(change_set)
    assert catalogue() == before
    assert started.created == 100
    listed = change_set_entries(started, action="created", page=1)
    assert [entry.sku for entry in listed.entries] == [f"S-{n:03d}" for n in range(50)]
    assert listed.more
    again = undone(started)
    assert catalogue() == []
    assert again.deleted == 100
    assert RemovedProduct.objects.filter(change_set=again).count() == 100
    undone(again)
    assert catalogue() == before


def test_bringing_back_a_cleared_catalogue_reads_each_product_once(
    imported: Callable[..., ChangeSet],
    undone: Callable[..., ChangeSet],
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Although it is believed to be empty: it was looked at while it was."""
    monkeypatch.setattr(sql_undo, "SLICE_ROWS", 10**9)  # one slice, whatever their numbers are
    rows = 2000
    imported("".join(f"S-{n:04d},Name,,,\n" for n in range(rows)))
    cleared = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None)
    messages.run_all()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE catalog_product; ANALYZE catalog_removedproduct")
    undone(cleared)
    bounds = Product.objects.aggregate(first=Min("id"), last=Max("id"), at=Max("updated_at"))
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql_undo.SETTINGS)
        # As in the slice's own transaction.
        statement = sql_undo.BROUGHT_BACK.replace("now()", "%(at)s")
        params = {**bounds, "undone": cleared.pk}
        cursor.execute(statement, params)
        assert len(cursor.fetchall()) == rows
        cursor.execute("EXPLAIN (ANALYZE, FORMAT JSON) " + statement, params)
        [(plan,)] = cursor.fetchall()
    assert rows <= rows_read(plan[0]["Plan"]) <= 10 * rows


def rows_read(plan: dict[str, Any]) -> float:
    """The rows that the steps of an executed plan gave or threw away."""
    thrown = [rows for name, rows in plan.items() if name.startswith("Rows Removed by")]
    each = plan["Actual Rows"] + sum(thrown)
    below = sum(rows_read(part) for part in plan.get("Plans", []))
    return float(each * plan["Actual Loops"] + below)


def test_a_deleted_product_whose_sku_is_there_again_stays_away(
    imported: Callable[..., ChangeSet], undone: Callable[..., ChangeSet], messages: Messages
) -> None:
    imported("A-1,Lamp,,1.00,\nA-2,Chair,,1.00,\n")
    change_set = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_DELETE, actor=None)
    messages.run_all()
    anew = catalog.create_product(actor=None, data={"sku": "a-1", "name": "Another lamp"})
    started = undone(change_set)
    assert kept(started) == [("A-1", "sku_taken", anew.created_in_id)]
    assert set(Product.objects.values_list("sku", "name")) == {
        ("a-1", "Another lamp"),
        ("A-2", "Chair"),
    }
    listed = change_set_entries(started, action="created", page=1)
    assert [(entry.sku, entry.change_set) for entry in listed.entries] == [("A-2", started)]
    assert undone(started).deleted == 1
    assert change_set_entries(started, action="created", page=1).entries == []
    assert list(Product.objects.values_list("sku", flat=True)) == ["a-1"]


def test_a_bulk_edit_is_taken_back(
    imported: Callable[..., ChangeSet], undone: Callable[..., ChangeSet], messages: Messages
) -> None:
    imported("A-1,Lamp,,1.00,yes\nA-2,Chair,,1.00,no\n")
    before = catalogue()
    change_set = bulk.start_bulk_act(kind=ChangeSet.Kind.BULK_EDIT, actor=None, active=False)
    messages.run_all()
    assert undone(change_set).updated == 1
    assert catalogue() == before


def test_single_acts_are_taken_back(
    undone: Callable[..., ChangeSet], make_product: Callable[..., Product]
) -> None:
    product = make_product("A-1", "Lamp", price=Decimal("1.00"))
    before = catalogue()
    edited = catalog.update_product(product_id=product.pk, actor=None, data={"sku": "Z-9"})
    assert edited.changed_in
    undone(edited.changed_in)
    assert catalogue() == before
    undone(catalog.delete_product(product_id=product.pk, actor=None))
    assert catalogue() == before
    made = catalog.create_product(actor=None, data={"sku": "B-1", "name": "New"})
    assert made.created_in
    undone(made.created_in)
    assert catalogue() == before


def test_an_sku_that_somebody_took_meanwhile_is_not_taken_away(
    undone: Callable[..., ChangeSet], make_product: Callable[..., Product]
) -> None:
    product = make_product("A-1", "Lamp")
    edited = catalog.update_product(product_id=product.pk, actor=None, data={"sku": "Z-9"})
    make_product("a-1", "Chair")
    assert edited.changed_in
    started = undone(edited.changed_in)
    assert [(sku, reason) for sku, reason, _ in kept(started)] == [("Z-9", "sku_taken")]
    assert set(Product.objects.values_list("sku", flat=True)) == {"a-1", "Z-9"}


def test_what_a_cancelled_import_applied_is_taken_back_and_then_not_retried(
    imported: Callable[..., ChangeSet],
    undone: Callable[..., ChangeSet],
    upload: Callable[..., ImportJob],
    messages: Messages,
    settings: Any,
) -> None:
    settings.IMPORT_CHUNK_ROWS = 10
    job = upload(HEADER + "".join(f"S-{n:02d},Name,,,\n" for n in range(40)))
    messages.waiting.clear()
    jobs.advance_import(job.pk)
    chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
    assert chunk
    apply.apply_chunk(chunk)
    with pytest.raises(jobs.Refused, match="Cancel it first"):
        jobs.undo_import(job_id=job.pk, user=None)
    jobs.cancel_import(job_id=job.pk, user=None)
    job.refresh_from_db()
    assert 0 < job.created < 40
    assert job.change_set
    undone(job.change_set)
    assert catalogue() == []
    with pytest.raises(jobs.Refused, match="undone"):
        jobs.retry_import(job_id=job.pk, user=None)
    with pytest.raises(jobs.Refused, match="undone already"):
        jobs.undo_import(job_id=job.pk, user=None)


def test_an_import_that_changed_nothing_has_nothing_to_undo(
    imported: Callable[..., ChangeSet], upload: Callable[..., ImportJob], messages: Messages
) -> None:
    imported("A-1,Lamp,,1.00,yes\n")
    again = upload(HEADER + "A-1,Lamp,,1.00,yes\n")
    messages.run_all()
    with pytest.raises(jobs.Refused, match="changed nothing"):
        jobs.undo_import(job_id=again.pk, user=None)


def test_an_undo_waits_for_its_turn(
    imported: Callable[..., ChangeSet], upload: Callable[..., ImportJob], messages: Messages
) -> None:
    change_set = imported("A-1,Lamp,,1.00,yes\n")
    waiting = upload(HEADER + "A-1,Lamp,,2.00,yes\n")
    started = undo.start_undo(change_set_id=change_set.pk, actor=None)
    bulk.run_bulk_act(started.pk)
    started.refresh_from_db()
    assert started.status == "waiting"
    messages.run_all()
    started.refresh_from_db()
    waiting.refresh_from_db()
    assert (waiting.status, started.status) == ("completed", "completed")
    assert kept(started) == [("A-1", "changed", waiting.change_set_id)]


def test_an_undo_that_failed_half_way_goes_on(
    imported: Callable[..., ChangeSet],
    broken_undo: Callable[..., ChangeSet],
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    imported("".join(f"S-{n:02d},Name,,,\n" for n in range(40)))
    before = catalogue()
    change_set = imported("".join(f"S-{n:02d},Other,,,\n" for n in range(40)))
    monkeypatch.setattr(sql_undo, "SLICE_ROWS", 10)
    started = broken_undo(change_set, slices=2)
    assert started.status == "failed"
    again = undo.start_undo(change_set_id=change_set.pk, actor=None)
    assert again == started
    messages.run_all()
    again.refresh_from_db()
    assert (again.status, again.updated, again.conflicts) == ("completed", 40, 0)
    assert catalogue() == before


def test_own_acts_are_undone_by_editors_those_of_others_by_managers(
    make_user: Callable[..., User],
) -> None:
    users = {role: make_user(role, role) for role in ("viewer", "editor", "manager")}
    for owner in users.values():
        change_set = ChangeSet.objects.create(kind="import", actor=owner, status="completed")
        for role, user in users.items():
            allowed = role == "manager" or (role == "editor" and owner == user)
            assert undo.may_undo(change_set, user) is allowed
    nobodys = ChangeSet.objects.create(kind="import", status="completed")
    assert not undo.may_undo(nobodys, users["editor"])


skus = st.sampled_from(["a-1", "A-1", "b-2", "B-2", "c-3"])
files = st.dictionaries(skus.map(str.lower), st.tuples(skus, st.sampled_from("xyz")), max_size=3)
acts = st.lists(
    st.one_of(files, st.sampled_from(["delete all", "deactivate", "edit", "undo last"])),
    min_size=1,
    max_size=6,
)


@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(history=acts)
@example(history=[{"a-1": ("a-1", "x")}, "delete all", "undo last", "delete all"])
def test_undoing_the_whole_history_backwards_gives_every_state_again(
    imported: Callable[..., ChangeSet],
    undone: Callable[..., ChangeSet],
    messages: Messages,
    history: list[Any],
) -> None:
    Product.objects.all().delete()
    states = [catalogue()]
    sets: list[ChangeSet] = []
    for act in history:
        if act == "delete all" or act == "deactivate":
            deletes = act == "delete all"
            change_set = bulk.start_bulk_act(
                kind=ChangeSet.Kind.BULK_DELETE if deletes else ChangeSet.Kind.BULK_EDIT,
                actor=None,
                active=None if deletes else False,
            )
            messages.run_all()
        elif act == "edit":
            product = Product.objects.order_by("id").first()
            if product is None:
                continue
            name = product.name + "!"
            edited = catalog.update_product(product_id=product.pk, actor=None, data={"name": name})
            assert edited.changed_in
            change_set = edited.changed_in
        elif act == "undo last":
            if not sets:
                continue
            change_set = undone(sets[-1])
        else:
            if not act:
                continue
            change_set = imported("".join(f"{sku},{name},,,\n" for sku, name in act.values()))
        change_set.refresh_from_db()
        if change_set.changed:
            sets.append(change_set)
            states.append(catalogue())
    for change_set, state in zip(reversed(sets), states[-2::-1], strict=True):
        if undo.why_not(change_set):
            continue  # undone in the history already: its undo was taken back just now
        assert undone(change_set).conflicts == 0
        assert catalogue() == state
