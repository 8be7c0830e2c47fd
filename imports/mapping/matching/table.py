"""A file's columns as they are looked at: their names, their values, and what both may mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property

from catalog.values import FIELDS
from imports.mapping.matching.aliases import (
    BREAK,
    NO_PRICES,
    PRICE_STEMS,
    STRONG,
    WEAK,
    bare_key_of,
    bare_keys_of,
    in_any_language,
    in_brackets,
    is_quantity,
    key_of,
    without_tax,
)
from imports.mapping.matching.evidence import Evidence, look_at
from imports.mapping.matching.own_names import OwnNames
from imports.mapping.model import OWN_PREFIX

CATEGORY = OWN_PREFIX + "category"  # the ready-made field
OWN_COLUMNS = ("_line", "_error")  # what rejects.csv adds


class Rank(IntEnum):
    """What speaks for a column, the best first."""

    OWN_NAME = 0
    SUPPLIER = 1
    ALIAS = 2
    CATALOGUE = 3
    WEAK = 4


@dataclass(frozen=True)
class Memory:
    """What was chosen before, by keys of columns' names (``key_of``); the own fields there are."""

    supplier: Mapping[str, str] = field(default_factory=dict)
    catalogue: Mapping[str, str] = field(default_factory=dict)
    own: OwnNames = field(default_factory=lambda: OwnNames({}))


@dataclass(frozen=True)
class Claim:
    """Why a column may be a field; ``else_`` is what its name may mean instead."""

    place: int
    rank: Rank
    else_: str = ""


class Table:
    """A file's header and the values of its columns."""

    def __init__(
        self, header: Sequence[str], records: Sequence[Sequence[str]], memory: Memory
    ) -> None:
        self.header = header
        self.records = records
        self.memory = memory
        self._evidence: dict[int, Evidence] = {}

    @property
    def is_headless(self) -> bool:
        """Whether the columns have numbers for names: no line of the file names them."""
        numbers = [str(number) for number in range(1, len(self.header) + 1)]
        return bool(self.records) and list(self.header) == numbers

    @property
    def columns(self) -> list[list[str]]:
        """The cells of each column, as ``values`` has them."""
        return [self.values(place) for place in range(len(self.header))]

    def values(self, place: int, limit: int | None = None) -> list[str]:
        """The cells of a column, blank ones among them."""
        return [record[place] if place < len(record) else "" for record in self.records[:limit]]

    def filled(self, place: int) -> bool:
        return any(cell.strip() for cell in self.values(place))

    def evidence(self, place: int) -> Evidence:
        """What all values of the sample say; a column that nothing names is not worth it."""
        if place not in self._evidence:
            self._evidence[place] = look_at(self.values(place))
        return self._evidence[place]

    def named(self, place: int) -> str:
        """A column in a sentence."""
        name = self.header[place]
        number = str(place + 1)
        return (
            f"column {number}"
            if name.strip() in ("", number)
            else (f"column {number} (“{name.strip()[:60]}”)")
        )

    def named_first(self, place: int) -> str:
        """The same at the beginning of a sentence."""
        name = self.named(place)
        return f"{name[0].upper()}{name[1:]}"

    def examples(self, place: int, limit: int = 3) -> str:
        """Some values of a column in a sentence: different ones, filled."""
        values = dict.fromkeys(v.strip() for v in self.values(place) if v.strip())
        shown = [f"“{value[:40]}”" for value in list(values)[:limit]]
        return ", ".join(shown) or "nothing but blank cells"

    @cached_property
    def claims(self) -> dict[str, list[Claim]]:
        """What the names say, by field."""
        found: dict[str, list[Claim]] = {name: [] for name in (*FIELDS, *self.memory.own.fields)}
        for place, (name, bare) in enumerate(zip(self.header, self._bare_keys, strict=True)):
            if name.strip() and name not in OWN_COLUMNS:
                for product_field, claim in self._claims_of(place, name, bare):
                    found[product_field].append(claim)
        found["name"] = self._names_with_values(found)
        self._tell_types_of_shops_apart(found)
        if not found["price"]:
            found["price"] = self._numbers_that_are_called_prices()
        return found

    def _tell_types_of_shops_apart(self, found: dict[str, list[Claim]]) -> None:
        """What WooCommerce calls a type (simple, variable) is no category.

        Shopify's category is one of its own list, and what the shop calls it is the type; the way
        back writes the type as well (``catalog.ready_made_exports``).
        """
        names = {name.strip().casefold(): place for place, name in enumerate(self.header)}
        category, type_ = names.get("product category"), names.get("type")
        if type_ is None or CATEGORY not in found:
            return
        no_category = None
        if "regular price" in names:
            no_category = type_
        elif "variant sku" in names and self.filled(type_):
            no_category = category
        found[CATEGORY] = [
            claim
            for claim in found[CATEGORY]
            if claim.place != no_category or claim.rank < Rank.ALIAS
        ]

    def _names_with_values(self, found: Mapping[str, list[Claim]]) -> list[Claim]:
        """A column of names that has nothing in it gives way to what else may be the name."""
        if not found["name"]:
            return self._descriptions_that_may_be_names(found)
        filled = [claim for claim in found["name"] if self.filled(claim.place)]
        if len(self.records) < 2 or any(claim.rank <= Rank.ALIAS for claim in filled):
            return found["name"]
        return [*self._descriptions_that_may_be_names(found), *filled] or found["name"]

    def _descriptions_that_may_be_names(self, found: Mapping[str, list[Claim]]) -> list[Claim]:
        """In price lists, “Description” is what products are called.

        A file with the fields' own names means what it says, and so does what was chosen before.
        """
        ranks = {claim.rank for claim in (*found["sku"], *found["description"])}
        if ranks <= {Rank.OWN_NAME} or Rank.SUPPLIER in ranks:
            return []
        return [
            Claim(claim.place, Rank.WEAK, "a longer text about it")
            for claim in found["description"]
            if claim.rank <= Rank.ALIAS and self.evidence(claim.place).looks_like_names
        ]

    def _numbers_that_are_called_prices(self) -> list[Claim]:
        """Whole numbers too, where no other column is called so: “Price (cents)”, “Preis 2026”."""
        return [
            Claim(place, Rank.WEAK, "another kind of price")
            for place, bare in enumerate(self._bare_keys)
            if any(stem in bare for stem in PRICE_STEMS)
            and not any(word in bare for word in NO_PRICES)
            and self.evidence(place).price is not None
        ]

    @cached_property
    def _bare_keys(self) -> list[str]:
        return bare_keys_of(self.header)

    def _claims_of(self, place: int, name: str, bare: str) -> list[tuple[str, Claim]]:
        if bare in FIELDS:
            return [(bare, Claim(place, Rank.OWN_NAME))]
        if named := self.memory.own.named(name):
            return [(named, Claim(place, Rank.OWN_NAME))]
        key = key_of(name)
        chosen = self.memory.supplier.get(key)
        if chosen and self._is_there(chosen):
            return [(chosen, Claim(place, Rank.SUPPLIER))]
        if named := self.memory.own.usually_named(name):
            return [(named, Claim(place, Rank.ALIAS))]
        if meant := meaning(name):
            return [(meant, Claim(place, Rank.ALIAS))]
        found = []
        chosen = self.memory.catalogue.get(key)
        if chosen and self._is_there(chosen):
            found.append((chosen, Claim(place, Rank.CATALOGUE, "something else in this file")))
        keys = (key, bare, *without_tax(name))
        weak = next((WEAK[one] for one in keys if one in WEAK), ())
        found += [(meant, Claim(place, Rank.WEAK, else_)) for meant, else_ in weak]
        named_so = not found and any(stem in bare for stem in PRICE_STEMS)
        price = self.evidence(place).price if named_so else None
        if price is not None and price.looks_like_money:
            found.append(("price", Claim(place, Rank.WEAK, "another kind of price")))
        if is_quantity(name) and (price := self.evidence(place).price) and price.looks_like_money:
            found.append(("price", Claim(place, Rank.WEAK, BREAK)))
        return found

    def _is_there(self, name: str) -> bool:
        """Whether a field that was chosen before is still one."""
        return name in FIELDS or name in self.memory.own.fields


def meaning(name: str) -> str:
    """The field that a column's name surely means; blank if it means none."""
    bare = bare_key_of(name)
    if bare in FIELDS:
        return bare
    keys = (key_of(name), bare, in_any_language(name), key_of(name.replace("#", " number ")))
    found = next((STRONG[key] for key in keys if key in STRONG), "")
    return found or _meaning_of_parts(name)


def _meaning_of_parts(name: str) -> str:
    """What a name means by its parts: without its tax, or where brackets say the same again."""
    for key in without_tax(name):
        if meant := _field_of_key(key):
            return meant
    before, inside = map(_field_of_key, in_brackets(name) or ("", ""))
    return before if before == inside else ""


def _field_of_key(key: str) -> str:
    """The field that a key is of, or surely means; blank if there is none."""
    return key if key in FIELDS else STRONG.get(key, "")
