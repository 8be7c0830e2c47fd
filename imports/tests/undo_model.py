"""What acts and undos mean, in plain Python: a catalogue that forgets nothing, to compare with.

Every state of a product is an object of its own, and an act is the list of its steps. An undo
takes back the steps of its act, product by product, where the product is in the very state
(the same object) that the act left it in; it lists the others. Nothing here is derived from
numbers of change sets or versions, as it is in the product.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, eq=False)
class State:
    """One state of a product; ``made_in`` is the act that made it. Equal to itself only."""

    sku: str
    name: str
    price: Decimal | None
    active: bool
    made_in: int

    @property
    def key(self) -> str:
        return self.sku.lower()


@dataclass(frozen=True)
class Step:
    """What an act did to a product; ``None`` where it was, or is, not in the catalogue."""

    product: int
    before: State | None
    after: State | None


@dataclass(frozen=True)
class Kept:
    """A product that an undo left alone, why, and the act that stood in the way."""

    product: int
    reason: str
    because_of: int | None


@dataclass
class Act:
    """``status`` is completed, failed or cancelled. ``left`` is what one that stopped half-way
    has still to do: steps of the act that it undoes."""

    number: int
    undo_of: "Act | None" = None
    status: str = "completed"
    steps: list[Step] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    left: list[Step] = field(default_factory=list)
    undos: list["Act"] = field(default_factory=list)

    def counts(self) -> dict[str, int]:
        created = sum(step.before is None for step in self.steps)
        deleted = sum(step.after is None for step in self.steps)
        updated = len(self.steps) - created - deleted
        kept = len(self.kept)
        return {"created": created, "updated": updated, "deleted": deleted, "conflicts": kept}

    @property
    def undone(self) -> bool:
        """Whether an undo stands: it did something, came to its end, and is not undone itself."""
        return any(
            undo.status == "completed" and undo.steps and not undo.undone for undo in self.undos
        )

    @property
    def undoable(self) -> bool:
        return bool(self.steps) and not self.undone

    @property
    def goes_on(self) -> "Act | None":
        """The undo that failed half-way and goes on when this is to be undone (again)."""
        newest = self.undos[-1] if self.undos else None
        return newest if newest and newest.status == "failed" and not newest.undone else None


class Catalogue:
    """The products by number, as they are ``now``, and all acts by number."""

    def __init__(self) -> None:
        self.now: dict[int, State] = {}
        self.acts: dict[int, Act] = {}
        self.created_in: dict[int, int] = {}
        self.versions: dict[int, int] = {}
        self.deleted_in: dict[int, int] = {}

    def act(self, number: int, undo_of: Act | None = None) -> Act:
        return self.acts.setdefault(number, Act(number, undo_of))

    def by_key(self, key: str) -> int | None:
        return next((product for product, state in self.now.items() if state.key == key), None)

    def put(self, act: Act, product: int, after: State | None) -> None:
        """Bring a product into a state; versions count, whatever happens."""
        before = self.now.pop(product, None)
        if after is not None:
            self.now[product] = after
            self.versions[product] = self.versions.get(product, 0) + 1
            self.created_in.setdefault(product, act.number)
        else:
            self.deleted_in[product] = act.number
        act.steps.append(Step(product, before, after))

    def change(self, act: Act, product: int, **values: Any) -> None:
        """Give a product these values; one that has them already is left alone."""
        state = self.now[product]
        if any(getattr(state, name) != value for name, value in values.items()):
            self.put(act, product, replace(state, made_in=act.number, **values))

    def import_row(self, act: Act, row: dict[str, Any], number_of: Callable[[str], int]) -> None:
        """Create or change the product of a record; ``number_of`` tells that of a new one."""
        product = self.by_key(row["sku"].lower())
        if product is not None:
            self.change(act, product, **row)
            return
        values = {"price": None, "active": True, **row}
        self.put(act, number_of(row["sku"]), State(made_in=act.number, **values))

    def undo(self, undo: Act, steps: Collection[Step]) -> None:
        """Take back these steps."""
        for step in steps:
            self._take_back(undo, step)

    def _take_back(self, undo: Act, step: Step) -> None:
        state = self.now.get(step.product)
        if step.after is None:
            self._bring_back(undo, step)
        elif state is None and step.before is not None:
            gone_in = self.deleted_in[step.product]
            undo.kept.append(Kept(step.product, "deleted", gone_in))
        elif state is None:
            pass  # it was created, and is gone already
        elif state is not step.after:
            undo.kept.append(Kept(step.product, "changed", state.made_in))
        elif step.before is not None and self._taken(step.before, step.product) is not None:
            taken_by = self._taken(step.before, step.product)
            undo.kept.append(Kept(step.product, "sku_taken", taken_by))
        else:
            self.put(undo, step.product, step.before)

    def _bring_back(self, undo: Act, step: Step) -> None:
        assert step.before is not None
        there = self.by_key(step.before.key)
        if there is not None:
            undo.kept.append(Kept(step.product, "sku_taken", self.now[there].made_in))
        elif step.product in self.now:
            undo.kept.append(Kept(step.product, "changed", self.now[step.product].made_in))
        else:
            self.put(undo, step.product, step.before)

    def _taken(self, state: State, product: int) -> int | None:
        """The act that gave another product the SKU of this state."""
        there = self.by_key(state.key)
        return None if there is None or there == product else self.now[there].made_in
