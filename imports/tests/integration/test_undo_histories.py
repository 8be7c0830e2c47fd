"""Random histories of acts and undos, compared step by step with a model in plain Python."""

import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from catalog.models import Change, ChangeSet, Product
from catalog.operations import bulk, undo
from catalog.operations import products as catalog
from catalog.queries.products import change_set_entries
from catalog.sql import undo as sql_undo
from conftest import Messages
from imports.models import Format, ImportJob, Supplier
from imports.operations import jobs, suppliers
from imports.pipeline import apply, chunks
from imports.tests.undo_model import Act, Catalogue, Step

pytestmark = pytest.mark.django_db(transaction=True)

KEYS = ["a-1", "b-2", "c-3", "d-4", "é-5"]
NAMES = ["Lamp", "Chair", "Table"]
PRICES = [None, Decimal("1.00"), Decimal("2.50")]
FIELDS = ("sku", "name", "price", "active")


def full_list_formats() -> dict[str, Format]:
    """Formats of a supplier of its own, by what becomes of what their files lack."""
    rules = {"columns": [{"column": name, "field": name} for name in FIELDS]}
    supplier = suppliers.create_supplier(name=f"Supplier {Supplier.objects.count()}", user=None)
    return {
        action: suppliers.create_format(
            supplier_id=supplier.pk,
            name=action,
            rules=rules,
            if_missing={"action": action},
            user=None,
        )
        for action in ("deactivate", "delete")
    }


class History:
    """One random history: each act is done by the operations and by the model."""

    def __init__(
        self,
        seed: int,
        upload: Callable[..., ImportJob],
        messages: Messages,
        broken_undo: Callable[..., ChangeSet],
    ) -> None:
        self.random = random.Random(seed)
        self.upload, self.messages, self.broken_undo = upload, messages, broken_undo
        self.model = Catalogue()
        self.told: list[str] = []
        # Of imports that were cancelled half-way, by job: the records, and which SKUs were done.
        self.stopped: dict[int, tuple[list[dict[str, Any]], Callable[[str], bool]]] = {}
        self.sku_changed = False
        # Full lists of one supplier, by what becomes of what they lack; and the acts that its
        # imports were.
        self.formats = full_list_formats()
        self.of_supplier: set[int] = set()
        self.action: dict[int, str] = {}  # by act

    def run(self, acts: int) -> None:
        """So many acts, each followed by a comparison of everything."""
        choices = {
            self.create: 2,
            self.edit: 4,
            self.delete: 1,
            self.import_file: 3,
            self.stop_import: 1,
            self.retry_import: 1,
            self.bulk_edit: 2,
            self.bulk_delete: 2,
            self.undo: 12,
            self.break_undo: 2,
        }
        self.import_file()
        for _ in range(acts - 1):
            [act] = self.random.choices(list(choices), weights=list(choices.values()))
            act()
            self.compare()

    def tell(self, *what: Any) -> None:
        self.told.append(" ".join(map(str, what)))

    # --- What is done -----------------------------------------------------------------

    def sku(self, key: str) -> str:
        return self.random.choice([key, key.upper()])

    def values(self) -> dict[str, Any]:
        return {
            "name": self.random.choice(NAMES),
            "price": self.random.choice(PRICES),
            "active": self.random.random() < 0.7,
        }

    def free_key(self) -> str | None:
        free = [key for key in KEYS if self.model.by_key(key) is None]
        return self.random.choice(free) if free else None

    def product(self) -> int | None:
        return self.random.choice(sorted(self.model.now)) if self.model.now else None

    def create(self) -> None:
        key = self.free_key()
        if key is None:
            return
        row = {"sku": self.sku(key), **self.values()}
        made = catalog.create_product(actor=None, data=row)
        assert made.created_in_id
        self.tell("create", made.pk, row, "as", made.created_in_id)
        self.model.import_row(self.model.act(made.created_in_id), row, lambda _: made.pk)

    def edit(self) -> None:
        """Some fields of one product; sometimes its SKU, or only how it is spelled."""
        product = self.product()
        if product is None:
            return
        given = self.values()
        values = {name: given[name] for name in self.random.sample(list(given), 1)}
        if self.random.random() < 0.4:
            key = self.free_key() or self.model.now[product].key
            self.sku_changed |= key != self.model.now[product].key
            values = {"sku": self.sku(key)}
        edited = catalog.update_product(product_id=product, actor=None, data=values)
        self.tell("edit", product, values, "as", edited.changed_in_id)
        if any(getattr(self.model.now[product], name) != values[name] for name in values):
            assert edited.changed_in_id
            self.model.change(self.model.act(edited.changed_in_id), product, **values)

    def delete(self) -> None:
        product = self.product()
        if product is None:
            return
        deleted = catalog.delete_product(product_id=product, actor=None)
        self.tell("delete", product, "as", deleted.pk)
        self.model.put(self.model.act(deleted.pk), product, None)

    def bulk(self, kind: ChangeSet.Kind, **values: Any) -> tuple[Act, list[int]]:
        chosen = sorted(self.model.now)
        if self.random.random() < 0.7:
            chosen = [number for number in chosen if self.random.random() < 0.6]
        started = bulk.start_bulk_act(kind=kind, actor=None, ids=chosen, **values)
        self.messages.run_all()
        self.tell(kind, chosen, values, "as", started.pk)
        return self.model.act(started.pk), chosen

    def bulk_delete(self) -> None:
        if not self.model.now:
            return
        act, chosen = self.bulk(ChangeSet.Kind.BULK_DELETE)
        for product in chosen:
            self.model.put(act, product, None)

    def bulk_edit(self) -> None:
        if not self.model.now:
            return
        active = self.random.random() < 0.3
        act, chosen = self.bulk(ChangeSet.Kind.BULK_EDIT, active=active)
        for product in chosen:
            self.model.change(act, product, active=active)

    # --- Imports ----------------------------------------------------------------------

    def file(self) -> list[dict[str, Any]]:
        keys = self.random.sample(KEYS, self.random.randint(1, len(KEYS)))
        rows = [{"sku": self.sku(key), **self.values()} for key in keys]
        if self.random.random() < 0.3:  # a file with fewer columns
            rows = [{"sku": row["sku"], "name": row["name"]} for row in rows]
        return rows

    def start_import(self) -> tuple[ImportJob, list[dict[str, Any]]]:
        rows, values = self.file(), dict[str, Any]()
        if "price" in rows[0] and self.random.random() < 0.7:
            action = self.random.choice(["nothing", *self.formats])
            values = {"format": self.formats.get(action, self.formats["delete"])}
            values["full_list"] = action != "nothing"
        lines = [",".join(rows[0])]
        lines += [
            ",".join("" if cell is None else str(cell) for cell in row.values()) for row in rows
        ]
        job = self.upload("\n".join(lines) + "\n", checks="warn", **values)
        if values:
            assert job.change_set_id
            self.of_supplier.add(job.change_set_id)
            self.action[job.change_set_id] = action
            self.tell("full list:", action)
        return job, rows

    def import_file(self) -> None:
        job, rows = self.start_import()
        self.messages.run_all()
        job.refresh_from_db()
        assert job.status == "completed", job.error
        self.tell("import", rows, "as", job.change_set_id)
        self.imported(job, rows)
        self.lacks(job, rows, lambda key: True)

    def imported(self, job: ImportJob, rows: list[dict[str, Any]]) -> None:
        assert job.change_set_id
        act = self.model.act(job.change_set_id)
        act.status = job.status
        numbers = dict(Product.objects.values_list("sku", "id"))
        for row in rows:
            self.model.import_row(act, row, numbers.__getitem__)

    def lacks(
        self, job: ImportJob, rows: list[dict[str, Any]], is_done: Callable[[str], bool]
    ) -> None:
        """What becomes of what a full list lacks, of the SKUs for which it is done."""
        assert job.change_set_id
        action = self.action.get(job.change_set_id, "nothing")
        act, listed = self.model.act(job.change_set_id), {row["sku"].lower() for row in rows}
        brought_in = self.of_supplier - {job.change_set_id}
        for product, state in sorted(self.model.now.items()):
            if state.key in listed or self.model.created_in[product] not in brought_in:
                continue
            if action == "delete" and is_done(state.key):
                self.model.put(act, product, None)
            elif action == "deactivate" and is_done(state.key):
                self.model.change(act, product, active=False)

    def stop_import(self) -> None:
        """An import that is cancelled when it has done some of its chunks."""
        job, rows = self.start_import()

        def is_applied() -> bool:
            job.refresh_from_db()
            return job.stage == ImportJob.Stage.APPLYING or job.is_final

        self.messages.run_all(until=is_applied)
        self.messages.waiting.clear()
        for _ in range(self.random.randint(1, len(rows))):
            chunk = chunks.claim_chunk(job.pk, ImportJob.Stage.APPLYING)
            if chunk:
                apply.apply_chunk(chunk)
        jobs.cancel_import(job_id=job.pk, user=None)
        self.messages.run_all()
        job.refresh_from_db()
        done = list(job.chunks.exclude(done_at=None))

        def is_done(key: str) -> bool:
            return any(
                part.first_key <= key and (part.end_key is None or key < part.end_key)
                for part in done
            )

        applied = [row for row in rows if is_done(row["sku"].lower())]
        self.tell("import", rows, "cancelled after", applied, "as", job.change_set_id)
        if job.change_set_id is None:  # nothing was changed
            return
        self.stopped[job.pk] = (rows, is_done)
        self.sku_changed = False
        self.imported(job, applied)
        self.lacks(job, rows, is_done)

    def retry_import(self) -> None:
        """Not where a product may come twice: it got another SKU since (a test of its own)."""
        if not self.stopped or self.sku_changed:
            return
        job = ImportJob.objects.get(pk=next(reversed(self.stopped)))
        assert job.change_set_id
        if self.model.acts[job.change_set_id].undos:
            return
        rows, is_done = self.stopped.pop(job.pk)
        left = [row for row in rows if not is_done(row["sku"].lower())]
        jobs.retry_import(job_id=job.pk, user=None)
        self.messages.run_all()
        job.refresh_from_db()
        assert job.status == "completed", job.error
        self.tell("retry of", job.change_set_id, "with", left)
        self.imported(job, left)
        self.lacks(job, rows, lambda key: not is_done(key))

    # --- Undo -------------------------------------------------------------------------

    def chosen_act(self) -> Act | None:
        """Mostly a late one, often an undo."""
        acts = [act for act in self.model.acts.values() if act.undoable]
        if not acts:
            return None
        return self.random.choice(acts[-4:] if self.random.random() < 0.7 else acts)

    def undo(self) -> None:
        act = self.chosen_act()
        if act is None:
            return
        goes_on = act.goes_on
        change_set = ChangeSet.objects.get(pk=act.number)
        expected = undo.forecast(change_set)
        started = undo.start_undo(change_set_id=act.number, actor=None)
        self.messages.run_all()
        started.refresh_from_db()
        self.tell("undo", act.number, "as", started.pk)
        assert started.status == "completed", started.error
        if goes_on:
            assert started.pk == goes_on.number
            steps, goes_on.left = goes_on.left, []
            goes_on.status = "completed"
            self.model.undo(goes_on, steps)
            return
        self.model.undo(self.begin(act, started), act.steps)
        # The confirmation's numbers are what happens.
        assert expected == undo.Forecast(
            restore=started.updated,
            delete=started.deleted,
            bring_back=started.created,
            keep=started.conflicts,
        )

    def begin(self, act: Act, started: ChangeSet) -> Act:
        assert started.pk not in self.model.acts
        one = self.model.act(started.pk, undo_of=act)
        act.undos.append(one)
        return one

    def break_undo(self) -> None:
        """An undo that fails after some of its slices."""
        act = self.chosen_act()
        if act is None or act.goes_on:
            return
        change_set = ChangeSet.objects.get(pk=act.number)
        started = self.broken_undo(change_set, slices=self.random.randint(1, 3))
        one = self.begin(act, started)
        one.status = started.status
        one.left = [step for step in act.steps if _is_left(started, step)]
        self.tell("undo", act.number, "as", started.pk, started.status, "left", len(one.left))
        self.model.undo(one, [step for step in act.steps if step not in one.left])

    # --- Whether both are the same ----------------------------------------------------

    def compare(self) -> None:
        self.compare_catalogue()
        stored = ChangeSet.objects.prefetch_related("undos__undos__undos__undos")
        found = stored.in_bulk(list(self.model.acts))
        for act in self.model.acts.values():
            change_set = found[act.number]
            counts = {name: getattr(change_set, name) for name in act.counts()}
            assert counts == act.counts(), change_set
            assert (undo.why_not(change_set) == "") == act.undoable, change_set
        self.compare_last(self.model.acts[max(self.model.acts)])

    def compare_catalogue(self) -> None:
        columns = ("id", *FIELDS, "version", "created_in_id", "changed_in_id")
        stored = sorted(Product.objects.values_list(*columns))
        assert stored == sorted(
            (
                product,
                *(getattr(state, name) for name in FIELDS),
                self.model.versions[product],
                self.model.created_in[product],
                state.made_in,
            )
            for product, state in self.model.now.items()
        )

    def compare_last(self, act: Act) -> None:
        """What an undo lists, and that what was undone is refused."""
        for one in (act, act.undo_of):
            if one and one.undo_of:
                change_set = ChangeSet.objects.get(pk=one.number)
                kept = change_set.kept.values_list("product_id", "reason", "other_id")
                assert sorted(kept, key=str) == sorted(
                    ((kept.product, kept.reason, kept.because_of) for kept in one.kept), key=str
                )
                listed = change_set_entries(change_set, action="created", page=1).entries
                back = {step.product for step in one.steps if step.before is None}
                assert {entry.product_id for entry in listed} == back & self.model.now.keys()
        if act.undo_of and act.undo_of.undone:
            with pytest.raises(undo.NotUndoable, match="undone already"):
                undo.start_undo(change_set_id=act.undo_of.number, actor=None)


def _is_left(started: ChangeSet, step: Step) -> bool:
    """Whether an undo has yet to look at a step: at the slices that it has not done."""
    if step.before is not None and step.after is not None:
        part, number = (
            "updated",
            Change.objects.get(change_set=started.undo_of_id, product=step.product).pk,
        )
    else:
        number = step.product
        part = "deleted" if step.after is None else "created"
    assert started.undo_of
    if part == "created" and started.undo_of.undo_of_id:
        part = "brought_back"
    left = started.slices.filter(part=part, done_at=None)
    return left.filter(first_id__lte=number, last_id__gte=number).exists()


@pytest.fixture
def play(
    upload: Callable[..., ImportJob],
    messages: Messages,
    broken_undo: Callable[..., ChangeSet],
    monkeypatch: pytest.MonkeyPatch,
    settings: Any,
) -> Callable[[int, int], None]:
    """Play the history of a seed, of so many acts; what was done is told when it fails."""
    settings.IMPORT_CHUNK_ROWS = 1

    def run(seed: int, acts: int) -> None:
        Product.objects.all()._raw_delete("default")
        monkeypatch.setattr(sql_undo, "SLICE_ROWS", 1 + seed % 3)
        history = History(seed, upload, messages, broken_undo)
        try:
            history.run(acts)
        except BaseException as error:
            error.add_note("\n".join([f"Seed {seed}:", *history.told]))
            raise

    return run


def test_undos_do_in_random_histories_what_the_model_says(play: Callable[[int, int], None]) -> None:
    for seed in range(15):
        play(seed, 16)


@pytest.mark.heavy
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("block", range(6))
def test_undos_do_in_hundreds_of_random_histories_what_the_model_says(
    play: Callable[[int, int], None], block: int
) -> None:
    for seed in range(100 + 40 * block, 140 + 40 * block):
        play(seed, 30)
