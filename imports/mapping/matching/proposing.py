"""What field of one's own a column that nothing reads could become: a label, a key, a type."""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from catalog import field_values
from catalog.field_values import TEXT_MAX_LENGTH, Definition
from imports.mapping.cells.dates import are_dates
from imports.mapping.cells.meaning import says_nothing, unguarded
from imports.mapping.cells.words import ACTIVE_TABLES, YES_AND_NO
from imports.mapping.matching.evidence import look_at
from imports.mapping.matching.own_names import ready_made_key

CHOICES_AT_MOST = 12  # words that are a list; more are a text, and one alone tells nothing
REPEATED = 4  # times that each of them comes on average
IMAGE_NAMES = (".jpg", ".jpeg", ".png", ".gif", ".webp", ".avif", ".svg")

_whole = re.compile(r"[+-]?(0|[1-9][0-9]{0,14})").fullmatch
_decimal = re.compile(r"[+-]?(0|[1-9][0-9]{0,14})[.,][0-9]{1,6}").fullmatch


@dataclass(frozen=True)
class Proposal:
    """A field as ``fields/`` takes it."""

    label: str
    key: str
    type: str
    options: Mapping[str, Any]
    unique: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "label": self.label,
            "key": self.key,
            "type": self.type,
            "options": dict(self.options),
            "unique": self.unique,
        }


def propose(
    name: str,
    values: Sequence[str],
    taken: Collection[str],
    ready_made: Sequence[Mapping[str, Any]] = (),
) -> Proposal:
    """A field for a column of this name, by its values.

    ``taken`` are the keys and labels (small letters) of fields that there are; of the
    ``ready_made`` ones, the one that the name usually means is proposed as it is.
    """
    filled = [unguarded(v).strip() for v in values if v.strip() and not says_nothing(v)]
    meant = ready_made_key(name)
    bare = {field_values.bare_name(one) for one in taken}
    for one in ready_made:
        free = not {field_values.bare_name(one["key"]), field_values.bare_name(one["label"])} & bare
        if one["key"] == meant and free and (found := _as_ready_made(one, filled)):
            return found
    label = " ".join(name.split())[: field_values.LABEL_MAX_LENGTH] or "Column"
    type_, options = _type_of(name, filled)
    return Proposal(_free(label, bare), _free_key(label, bare), type_, options)


def _as_ready_made(one: Mapping[str, Any], filled: Sequence[str]) -> Proposal | None:
    """A ready-made field, if it takes the values: of numbers, only the marks may differ."""
    options = one.get("options", {})
    scale = options.get("scale", field_values.MONEY_SCALE)
    definition = Definition(one["key"], one["label"], one["type"], scale=scale)
    numbers = one["type"] in ("money", "decimal", "integer")
    seen = look_at(filled)
    fits = (
        seen.price is not None or not filled
        if numbers
        else all(field_values.reads(definition, value) for value in filled)
    )
    if not fits:
        return None
    unique = bool(one.get("unique")) and len(set(filled)) == len(filled)
    return Proposal(one["label"], one["key"], one["type"], options, unique)


def _type_of(name: str, filled: Sequence[str]) -> tuple[str, dict[str, Any]]:
    if not filled:
        return "text", {}
    fits = {t: all(field_values.reads(Definition("", "", t), v) for v in filled) for t in _TRIED}
    if fits["gtin"] and min(map(len, filled)) >= 8:
        return "gtin", {}
    if not all(map(_whole, filled)) and (fits["boolean"] or _say_yes_and_no(filled)):
        return "boolean", {}
    if all(map(_whole, filled)):
        return "integer", {}
    if found := _number(filled):
        return found
    if are_dates(filled):
        return "date", {}
    if fits["link"]:
        image = any(v.casefold().partition("?")[0].endswith(IMAGE_NAMES) for v in filled)
        return ("image" if image or ready_made_key(name) == "image" else "link"), {}
    if max(map(len, filled)) > TEXT_MAX_LENGTH // 2 or look_at(filled).html > 0.2:
        return "long_text", {}
    for type, cells in (("choices", _several(filled)), ("choice", filled)):
        words = list(dict.fromkeys(cells))
        few = 1 < len(words) <= CHOICES_AT_MOST and len(cells) >= REPEATED * len(words)
        if few and _are_choices(words):
            return type, {"choices": sorted(words)}
    return "text", {}


def _several(filled: Sequence[str]) -> list[str]:
    """The words of cells that have several; none where each has one."""
    if not any(separator in cell for cell in filled for separator in "|;"):
        return []
    return [word.strip() for cell in filled for word in re.split("[|;]", cell) if word.strip()]


def _say_yes_and_no(filled: Sequence[str]) -> bool:
    """Whether a table that an import has at hand knows all words, and they say both."""
    words = {value.casefold() for value in filled}
    tables = (table for name, table in ACTIVE_TABLES.items() if name in YES_AND_NO)
    return any(words <= table.keys() and len({table[w] for w in words}) == 2 for table in tables)


_TRIED = ("gtin", "boolean", "link")


def _number(filled: Sequence[str]) -> tuple[str, dict[str, Any]] | None:
    """Money where a currency is written, else a decimal of as many places as were seen."""
    price = look_at(filled).price
    if price is not None and price.reads == len(filled) and price.decimal:
        if price.currencies and price.places <= field_values.MONEY_SCALE:
            return "money", {}
        if not any(re.match(r"0\d", value) for value in filled):
            # Whichever mark it is, three digits stand behind it where it leaves that open.
            places = 3 if price.decimal == "?" else price.places
            scale = min(max(places, field_values.MONEY_SCALE), field_values.SCALE_AT_MOST)
            return "decimal", {"scale": scale}
    if all(_whole(value) or _decimal(value) for value in filled):
        places = max(len(re.split("[.,]", value, maxsplit=1)[-1]) for value in filled)
        return "decimal", {"scale": min(max(places, 2), field_values.SCALE_AT_MOST)}
    return None


def _are_choices(words: Sequence[str]) -> bool:
    return len({word.casefold() for word in words}) == len(words) and all(
        len(word) <= field_values.CHOICE_MAX_LENGTH // 2 for word in words
    )


def _free(label: str, bare: Collection[str]) -> str:
    """The label, or with a number behind it where there is one already."""
    names = (label, *(f"{label[:90]} {number}" for number in range(2, 1000)))
    return next(one for one in names if field_values.bare_name(one) not in bare)


def _free_key(label: str, bare: Collection[str]) -> str:
    """A key for it, with a number behind it where another field or column has it."""
    first = field_values.key_of(label)
    stem = first[: field_values.KEY_MAX_LENGTH - 4]
    keys = [first, *(f"{stem}_{number}" for number in range(2, 1000))]
    return next(key for key in keys if field_values.bare_name(key) not in bare and _is_key(key))


def _is_key(key: str) -> bool:
    try:
        field_values.clean_key(key)
    except ValueError:
        return False
    return True
