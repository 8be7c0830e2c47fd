"""Full lists: what a supplier brought in and its file lacks; and who brought in what."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, transaction

from catalog.models import Change, ChangeSet, Product
from catalog.operations import bulk, fields, search_index, undo
from catalog.operations import products as catalog
from catalog.queries.filters import filtered_products
from catalog.queries.products import product_history
from catalog.queries.search import narrowed
from catalog.sql import fields as sql_fields
from conftest import Messages
from imports.mapping.rules import parse_rules
from imports.models import Format, ImportJob, Supplier
from imports.operations import jobs, suppliers
from imports.operations.mending import import_mended, save_cells
from imports.pipeline import apply, chunks
from imports.pipeline.checks import missing
from imports.queries.review import read_page
from imports.sql.review import Filters
from imports.tests.supplier_files import COLUMNS, HEADER, make_format
from webhooks.models import Event

pytestmark = pytest.mark.django_db(transaction=True)

Importing = Callable[..., ImportJob]
MPN = [{"column": name, "field": name} for name in ("sku", "name", "price")]
MPN.append({"column": "mpn", "field": "fields.mpn"})
THREE = HEADER + "A,Lamp,1\nB,Chair,2\nC,Table,3\n"


@pytest.fixture
def a_format() -> Format:
    """A format of a supplier whose files are its whole lists, and for which nothing is unusual."""
    return make_format("Mueller")


@pytest.fixture
def run(upload: Callable[..., ImportJob], messages: Messages, a_format: Format) -> Importing:
    """Import a file of the supplier, as far as it goes by itself."""

    def go(content: str, **values: Any) -> ImportJob:
        job = upload(content, **{"format": a_format, **values})
        messages.run_all()
        job.refresh_from_db()
        return job

    return go


def states() -> dict[str, bool]:
    return dict(Product.objects.order_by("sku").values_list("sku", "active"))


# --- Who brought in what --------------------------------------------------------------


def test_a_supplier_brought_in_what_its_imports_created(
    run: Importing, make_product: Callable[..., Product]
) -> None:
    make_product("X")
    run(HEADER + "Y,Other,1\n", format=make_format("Huber"))
    assert run(HEADER + "A,Lamp,1\nX,Lamp,2\nY,Other,3\n").updated == 2
    brought = filtered_products({"supplier": str(Supplier.objects.get(name="Mueller").pk)})
    assert [product.sku for product in brought] == ["A"]


def test_what_is_brought_back_was_brought_in_by_the_same_supplier(
    run: Importing, undone: Callable[..., ChangeSet], a_format: Format
) -> None:
    run(THREE)
    deleted = catalog.delete_product(product_id=Product.objects.get(sku="A").pk, actor=None)
    undone(deleted)
    b = Product.objects.get(sku="B").pk
    catalog.delete_product(product_id=b, actor=None)
    catalog.bring_back_product(product_id=b, actor=None)
    assert filtered_products({"supplier": str(a_format.supplier_id)}).count() == 3


def test_an_import_by_the_release_before_is_counted_with_the_next_one(
    run: Importing, a_format: Format
) -> None:
    run(THREE)
    ChangeSet.objects.update(supplier=None)
    assert run(HEADER + "A,Lamp,1\n").missing == 2
    assert filtered_products({"supplier": str(a_format.supplier_id)}).count() == 3


def test_a_file_is_of_whom_it_was_told_to_be_whatever_its_columns_are_known_as(
    run: Importing, a_format: Format
) -> None:
    """Two suppliers with the same columns: the list of one lacks nothing of the other."""
    columns = ["sku", "name", "price"]
    huber = make_format("Huber", columns=columns, if_missing={"action": "delete"})
    run(HEADER + "H,Hat,1\n", format=huber)
    mueller = Supplier.objects.get(name="Mueller")
    run(HEADER + "A,Lamp,1\nB,Chair,2\n", format=None, supplier=mueller)
    job = run(HEADER + "A,Lamp,1\n", format=None, supplier=mueller, full_list=True)
    assert (job.format, job.supplier, job.missing) == (huber, mueller, 1)
    assert states() == {"A": True, "B": False, "H": True}
    # And what is done with such files of another supplier is not done with his.
    assert run(HEADER + "X,Other,1\n", format=None, supplier=mueller).missing == 0


def test_a_full_list_of_a_supplier_that_was_deleted_is_nobody_elses(run: Importing) -> None:
    run(HEADER + "H,Hat,1\n", format=make_format("Huber", columns=["sku", "name", "price"]))
    gone = suppliers.create_supplier(name="Gone", user=None)
    told = {"format": None, "supplier": gone, "full_list": True, "on_unclear": "always"}
    run(HEADER + "A,Lamp,1\n", **told)
    suppliers.delete_supplier(supplier_id=gone.pk)
    assert not ImportJob.objects.latest("pk").full_list


# --- What a full list lacks -----------------------------------------------------------


def test_what_a_full_list_lacks_is_deactivated_and_counted_apart(run: Importing) -> None:
    run(THREE)
    job = run(HEADER + "A,Lamp,1\nD,New,4\n")
    assert states() == {"A": True, "B": False, "C": False, "D": True}
    assert (job.status, job.created, job.unchanged, job.missing) == ("completed", 1, 1, 2)
    assert job.accounted_records == job.total_records == 2
    assert job.change_set
    assert (job.change_set.created, job.change_set.updated) == (1, 2)
    assert run(HEADER + "A,Lamp,1\nD,New,4\n").missing == 0  # they are inactive by now


def test_history_events_and_json_tell_of_it(run: Importing) -> None:
    run(THREE)
    b = Product.objects.get(sku="B")
    job = run(HEADER + "A,Lamp,1\nC,Table,3\n")
    b.refresh_from_db()
    newest = product_history(b).entries[0]
    assert newest.change_set == job.change_set
    assert [(change.field, change.before, change.after) for change in newest.changes] == [
        ("active", True, False)
    ]
    body = bytes(Event.objects.filter(type="import.completed").latest("id").body).decode()
    assert '"missing":1' in body


def test_a_file_that_is_no_full_list_lacks_nothing(run: Importing, a_format: Format) -> None:
    run(THREE)
    assert run(HEADER + "A,Lamp,1\n", full_list=False).missing == 0
    suppliers.change_format(format_id=a_format.pk, user=None, full_list=False)
    assert run(HEADER + "A,Lamp,1\n").missing == 0
    assert run(HEADER + "A,Lamp,1\n", full_list=True).missing == 2


def test_products_of_others_are_left_alone(
    run: Importing, make_product: Callable[..., Product]
) -> None:
    run(THREE)
    make_product("HAND")
    run(HEADER + "Y,Other,1\n", format=make_format("Huber"))
    job = run(HEADER + "Z,Other list,1\n", format=Format.objects.get(supplier__name="Huber"))
    assert job.missing == 1
    assert states() == {"A": True, "B": True, "C": True, "HAND": True, "Y": False, "Z": True}


def test_they_can_be_deleted_instead(run: Importing, a_format: Format) -> None:
    suppliers.change_format(format_id=a_format.pk, user=None, if_missing={"action": "delete"})
    run(THREE)
    job = run(HEADER + "A,Lamp,1\n")
    assert (list(states()), job.missing) == (["A"], 2)
    assert job.change_set
    assert job.change_set.deleted == 2


@pytest.mark.parametrize("may", [False, True])
def test_only_who_may_delete_many_products_has_a_single_file_delete(
    run: Importing, a_format: Format, make_user: Callable[..., User], may: bool
) -> None:
    """The format does not say that its files are full lists: whoever uploads this one does."""
    deletes = {"full_list": False, "if_missing": {"action": "delete"}}
    suppliers.change_format(format_id=a_format.pk, user=None, **deletes)
    run(THREE)
    user = make_user("mara", "manager" if may else "editor")
    job = run(HEADER + "A,Lamp,1\nC,Table,3\n", full_list=True, user=user)
    assert (job.missing, "B" in states()) == ((1, False) if may else (0, True))
    assert ("mara may not delete many products" in job.missing_off) is not may


def test_or_a_field_of_ones_own_is_set(run: Importing, a_format: Format) -> None:
    fields.create_field(data={"label": "Listed", "type": "choice", "options": {"choices": ["no"]}})
    suppliers.change_format(
        format_id=a_format.pk,
        user=None,
        if_missing={"action": "set", "field": "listed", "value": "NO"},
    )
    run(THREE)
    assert run(HEADER + "A,Lamp,1\n").missing == 2
    assert list(Product.objects.order_by("sku").values_list("active", "own_fields")) == [
        (True, None), (True, {"listed": "no"}), (True, {"listed": "no"}),
    ]  # fmt: skip
    assert run(HEADER + "A,Lamp,1\n").missing == 0


@pytest.mark.parametrize(
    "wrong",
    [None, {"action": "burn"}, {"action": "set"}, {"action": "set", "field": "sku", "value": "x"}],
)
def test_nothing_else_can_become_of_them(a_format: Format, wrong: Any) -> None:
    with pytest.raises(suppliers.Invalid):
        suppliers.change_format(format_id=a_format.pk, user=None, if_missing=wrong)


def test_a_refused_record_is_in_the_file_all_the_same(run: Importing) -> None:
    run(THREE)
    many = "".join(f"N-{number},New,1\n" for number in range(40))
    job = run(HEADER + many + "a,Lamp,no price\nB,Chair,2\n")
    assert (job.rejected, job.missing) == (1, 1)
    assert {sku: state for sku, state in states().items() if len(sku) == 1} == {
        "A": True, "B": True, "C": False,
    }  # fmt: skip


def test_a_record_left_out_by_a_filter_is_not_listed(run: Importing, a_format: Format) -> None:
    rules = {"columns": COLUMNS, "only_if": [{"column": "price", "is_not": ["gone"]}]}
    run(HEADER + "A,Lamp,1\nB,Chair,2\n")
    suppliers.change_format(format_id=a_format.pk, user=None, rules=rules)
    job = run(HEADER + "A,Lamp,1\nB,Chair,gone\n")
    assert (job.skipped, job.missing, states()) == (1, 1, {"A": True, "B": False})


NOT_TRUSTED: dict[str, tuple[str, dict[str, Any], str]] = {
    "it is empty": (HEADER, {}, "no record"),
    "too much of it was refused": (HEADER + "A,Lamp,1\nB,Chair,two\n", {}, "1 of its 2 records"),
    "it only creates": (HEADER + "A,Lamp,1\n", {"mode": "create_only"}, "only creates"),
    "nobody knows whose it is": (
        HEADER + "A,Lamp,1\n", {"format": None, "full_list": True}, "no supplier is known",
    ),
}  # fmt: skip


@pytest.mark.parametrize("why", NOT_TRUSTED)
def test_a_file_that_cannot_be_trusted_lacks_nothing(run: Importing, why: str) -> None:
    content, values, sentence = NOT_TRUSTED[why]
    run(THREE)
    job = run(content, **values)
    assert (job.status, job.missing) == ("completed", 0), job.error
    assert any(sentence in warning for warning in job.warnings)
    assert states() == {"A": True, "B": True, "C": True}


def test_a_file_that_cannot_be_read_to_its_end_lacks_nothing(run: Importing) -> None:
    run(THREE)
    job = run("sku;name\n" + "\0" * 100)
    assert job.missing == 0
    assert states() == {"A": True, "B": True, "C": True}


def test_mended_records_are_never_a_full_list(run: Importing, messages: Messages) -> None:
    many = "".join(f"N-{number},New,1\n" for number in range(40))
    run(THREE)
    job = run(HEADER + many + "A,Lamp,no price\nB,Chair,2\nC,Table,3\n")
    error = job.errors.get()
    save_cells(job_id=job.pk, cells={(error.pk, 2): "5"})
    mended = import_mended(job_id=job.pk, user=None)
    messages.run_all()
    mended.refresh_from_db()
    assert (mended.status, mended.updated, mended.missing) == ("completed", 1, 0)


# --- Review, undo ---------------------------------------------------------------------


@pytest.mark.parametrize("action", ["deactivate", "delete"])
def test_a_review_shows_them_before(
    run: Importing, messages: Messages, a_format: Format, action: str
) -> None:
    suppliers.change_format(format_id=a_format.pk, user=None, if_missing={"action": action})
    run(THREE)
    job = run(HEADER + "A,Lamp,9\n", review=True)
    assert job.shown["counts"]["missing"] == 2
    page = read_page(job, {"action": "missing"})
    assert [(row.sku, row.name, row.action) for row in page.rows] == [
        ("B", "Chair", "missing"), ("C", "Table", "missing"),
    ]  # fmt: skip
    assert read_page(job, {}).count == 3
    assert states() == {"A": True, "B": True, "C": True}
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.updated, job.missing) == ("completed", 1, 2)
    assert "differently" not in str(job.warnings)


def test_some_can_be_left_out_of_the_review(run: Importing, messages: Messages) -> None:
    run(THREE)
    job = run(HEADER + "A,Lamp,9\n", review=True)
    [line] = [row.line for row in read_page(job, {"q": "chair"}).rows]
    job = jobs.leave_out(job_id=job.pk, user=None, filters=Filters(), lines=[line])
    assert (job.shown_counts["missing"], job.shown_counts["skipped"]) == (1, 0)
    jobs.apply_import(job_id=job.pk, user=None)
    messages.run_all()
    job.refresh_from_db()
    assert (job.status, job.missing, job.skipped) == ("completed", 1, 0), job.error
    assert "differently" not in str(job.warnings)
    assert states() == {"A": True, "B": True, "C": False}


@pytest.mark.parametrize("action", ["deactivate", "delete"])
def test_an_undo_takes_it_back_and_its_undo_does_it_again(
    run: Importing, undone: Callable[..., ChangeSet], a_format: Format, action: str
) -> None:
    suppliers.change_format(format_id=a_format.pk, user=None, if_missing={"action": action})
    run(THREE)
    before = list(Product.objects.order_by("id").values_list("id", "sku", "active", "created_in"))
    job = run(HEADER + "A,Lamp,1\nD,New,4\n")
    after = states()
    assert job.change_set
    first = undone(job.change_set)
    assert (
        list(Product.objects.order_by("id").values_list("id", "sku", "active", "created_in"))
        == before
    )
    undone(first)
    assert states() == after
    assert filtered_products({"supplier": str(a_format.supplier_id)}).count() == len(after)


def test_a_product_edited_since_is_kept_by_the_undo(
    run: Importing, undone: Callable[..., ChangeSet]
) -> None:
    run(THREE)
    job = run(HEADER + "A,Lamp,1\nC,Table,3\n")
    b = Product.objects.get(sku="B").pk
    catalog.update_product(product_id=b, actor=None, data={"active": True, "name": "Stool"})
    assert job.change_set
    assert undone(job.change_set).conflicts == 1
    assert Product.objects.get(pk=b).name == "Stool"


# --- Kills, cancelling, others at work ------------------------------------------------


@pytest.fixture
def halfway(
    run: Importing, upload: Callable[..., ImportJob], messages: Messages, a_format: Format,
    settings: Any,
) -> ImportJob:  # fmt: skip
    """A full list that lacks every second product, when one of its chunks is applied."""
    settings.IMPORT_CHUNK_ROWS = 5
    run(HEADER + "".join(f"P-{number:02d},Thing,1\n" for number in range(40)))
    job = upload(
        HEADER + "".join(f"P-{number:02d},Thing,1\n" for number in range(0, 40, 2)),
        format=a_format,
    )

    def is_applied() -> bool:
        job.refresh_from_db()
        return job.stage == ImportJob.Stage.APPLYING or job.is_final

    messages.run_all(until=is_applied)
    messages.waiting.clear()
    chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
    assert chunk
    apply.apply_chunk(chunk)
    job.refresh_from_db()
    assert 0 < job.missing < 20
    return job


def go_on(job: ImportJob, messages: Messages) -> None:
    for _ in range(20):
        chunks.run_chunks(job.pk)
        messages.run_all()
    job.refresh_from_db()


def inactive() -> int:
    return Product.objects.filter(active=False).count()


def test_what_a_killed_worker_had_begun_is_done_once(
    halfway: ImportJob, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = missing.apply_missing

    def killed(*args: Any) -> Any:
        real(*args)
        raise KeyboardInterrupt

    done = halfway.missing
    chunk = chunks.claim_chunk(halfway.pk, ImportJob.Stage.APPLYING)
    assert chunk
    with monkeypatch.context() as patch:
        patch.setattr(apply, "apply_missing", killed)
        with pytest.raises(KeyboardInterrupt):
            apply.apply_chunk(chunk)
    assert inactive() == done  # all of the chunk was taken back
    halfway.chunks.update(claimed_at=None)
    go_on(halfway, messages)
    assert (halfway.status, halfway.missing, inactive()) == ("completed", 20, 20)
    assert halfway.change_set
    assert halfway.change_set.updated == Change.objects.filter(fields=16).count() == 20


def test_a_chunk_applied_twice_does_nothing_the_second_time(
    halfway: ImportJob, messages: Messages
) -> None:
    for chunk in halfway.chunks.exclude(done_at=None):
        apply.apply_chunk(chunk)
    done = halfway.missing
    halfway.refresh_from_db()
    assert halfway.missing == done


def test_what_was_done_before_a_cancel_stays_and_a_retry_does_the_rest(
    halfway: ImportJob, messages: Messages
) -> None:
    done = halfway.missing
    jobs.cancel_import(job_id=halfway.pk, user=None)
    go_on(halfway, messages)
    assert (halfway.status, halfway.missing, inactive()) == ("cancelled", done, done)
    assert halfway.change_set  # it can be undone
    jobs.retry_import(job_id=halfway.pk, user=None)
    messages.run_all()
    halfway.refresh_from_db()
    assert (halfway.status, halfway.missing, inactive()) == ("completed", 20, 20)


def test_one_that_only_deactivated_before_it_was_cancelled_keeps_its_change_set(
    halfway: ImportJob, undone: Callable[..., ChangeSet]
) -> None:
    assert not halfway.created
    assert not halfway.updated
    jobs.cancel_import(job_id=halfway.pk, user=None)
    halfway.refresh_from_db()
    assert halfway.change_set
    undone(halfway.change_set)
    assert inactive() == 0


def test_when_its_supplier_is_deleted_meanwhile_the_rest_is_left_alone(
    halfway: ImportJob, messages: Messages, a_format: Format
) -> None:
    done = halfway.missing
    suppliers.delete_supplier(supplier_id=a_format.supplier_id or 0)
    go_on(halfway, messages)
    assert (halfway.status, halfway.missing, inactive()) == ("completed", done, done)


def test_records_lost_in_a_crash_are_not_taken_for_missing(
    halfway: ImportJob, messages: Messages
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE imports_staging_{halfway.pk}")
    halfway.chunks.update(claimed_at=None)
    go_on(halfway, messages)
    assert (halfway.status, halfway.missing, inactive()) == ("completed", 20, 20)


def test_a_product_edited_meanwhile_is_written_over_with_what_it_was_kept(
    halfway: ImportJob, messages: Messages, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody changes it between the look and the writing."""
    edited: list[int] = []
    find = missing._find

    def find_and_edit(*args: Any) -> list[int]:
        ids = find(*args)
        if ids and not edited:
            edited.append(ids[0])
            Product.objects.filter(pk=ids[0]).update(name="Edited", version=7)
        return ids

    monkeypatch.setattr(missing, "_find", find_and_edit)
    go_on(halfway, messages)
    assert halfway.missing == 20
    assert Change.objects.get(product=edited[0]).old_version == 7
    assert Product.objects.get(pk=edited[0]).name == "Edited"


# --- Products found by another field ----------------------------------------------------


@pytest.fixture
def mpn(transactional_db: None) -> Iterator[None]:
    """A field that no two products share a value of."""
    field = fields.create_field(data={"label": "MPN", "type": "text", "unique": True})
    yield
    with connection.cursor() as cursor:
        sql_fields.drop_unique_index(cursor, field.pk)


@pytest.mark.usefixtures("mpn")
@pytest.mark.parametrize(
    ("lines", "left"),
    [
        ("m-1,Lamp,1\nm-2,Chair,2\n", ["A", "B"]),
        ("m-1,Lamp,1\nm-2,Chair,free\n", ["A", "B", "C"]),  # refused: it may be any of them
        ("m-1,Lamp,1\nm-2,Chair,2\nm-9,New,3\n", ["A", "B", "C"]),  # and so may what is not found
    ],
)
def test_by_another_key_nothing_is_missing_while_a_record_is_nobodys(
    run: Importing, lines: str, left: list[str]
) -> None:
    Supplier.objects.update(stop_refused=100)
    rows = ("A,Lamp,1,m-1", "B,Chair,2,m-2", "C,Table,3,m-3")
    run("sku,name,price,mpn\n" + "\n".join(rows) + "\n", rules=parse_rules({"columns": MPN}))
    by_mpn = {"key": "fields.mpn", "columns": MPN[1:]}
    job = run("mpn,name,price\n" + lines, rules=parse_rules(by_mpn), checks="warn")
    assert job.status == "completed", job.error
    assert [sku for sku, active in states().items() if active] == left
    assert (job.missing, bool(job.missing_off)) == (3 - len(left), len(left) == 3)


# --- From the command line ------------------------------------------------------------


def test_the_command_says_that_a_file_is_a_suppliers_whole_list(
    run: Importing,
    a_format: Format,
    tmp_path: Path,
    messages: Messages,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = "imports.management.commands.import_products"
    monkeypatch.setattr(f"{command}.time.sleep", lambda seconds: messages.run_all())
    run(THREE)
    path = tmp_path / "list.csv"
    path.write_text(HEADER + "A,Lamp,1\n")
    whose = {"format": str(a_format.pk), "supplier": "mueller"}
    call_command("import_products", path, "--no-full-list", **whose)
    assert "missing" not in capsys.readouterr().out
    call_command("import_products", path, "--full-list", **whose)
    assert re.search(r"^ *missing +2$", capsys.readouterr().out, re.M)
    with pytest.raises(CommandError, match="no supplier “Nobody”"):
        call_command("import_products", path, "--full-list", supplier="Nobody")


def test_what_an_undo_brings_back_in_the_end_is_found_by_the_search_index(
    upload: Callable[..., ImportJob],
    messages: Messages,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    mpn: None,
) -> None:
    settings.IMPORT_CHUNK_ROWS = 1
    monkeypatch.setattr(search_index, "FROM_PRODUCTS", 0)
    kept = make_format(
        "Mueller",
        rules={"columns": MPN},
        if_missing={"action": "delete"},
        columns=["sku", "name", "price", "mpn"],
    )

    def run(text: str) -> ImportJob:
        job = upload("sku,name,price,mpn\n" + text, format=kept, checks="warn")
        messages.run_all()
        job.refresh_from_db()
        return job

    run("A,Lamp,1,m-1\nB,Lamp,2,m-2\nC,Lamp,3,m-3\n")
    for price in range(10):  # numbers of changes beyond those of products
        product_id = Product.objects.get(sku="C").pk
        catalog.update_product(product_id=product_id, actor=None, data={"price": str(price)})
    job = run("B,Lamp,2,m-1\nC,Lamp,3,m-3\n")  # B has the value of what is deleted
    assert (job.missing, Product.objects.filter(sku="A").exists()) == (1, False)
    assert search_index.keep_search_index(seconds=60)
    monkeypatch.setattr(search_index, "UNDER_WAY", [])
    finish = bulk._finish

    def finish_late(pk: int) -> None:
        """The index comes on between the last slice and the end."""
        search_index.keep_search_index(seconds=60)
        finish(pk)

    monkeypatch.setattr(bulk, "_finish", finish_late)
    undo.start_undo(change_set_id=cast(int, job.change_set_id), actor=None)
    messages.run_all()
    assert Product.objects.filter(sku="A").exists()
    assert search_index.keep_search_index(seconds=60)
    with transaction.atomic(), connection.cursor() as cursor:
        found = narrowed(cursor, filtered_products({"q": "lamp"}))
        assert found is not None
        assert sorted(found.values_list("sku", flat=True)) == ["A", "B", "C"]
