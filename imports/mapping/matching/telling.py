"""What is said about a file's columns: samples, suggestions, and what became of each."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from catalog.values import FIELDS
from imports.mapping.cells.dates import WRITTEN
from imports.mapping.matching.aliases import STRONG, WEAK, bare_key_of
from imports.mapping.matching.choosing import LOOKED_AT, NAMED
from imports.mapping.matching.evidence import look_at
from imports.mapping.matching.table import OWN_COLUMNS, Rank, Table
from imports.mapping.rules import Rules, own_key

SAMPLES_SHOWN = 5
SAMPLE_LENGTH = 200  # characters that are shown of a value
ALIKE = 80  # RapidFuzz's score, of 100, from which on names are alike
SUGGESTED = 3  # fields for a column


@dataclass(frozen=True)
class Suggestion:
    """``score`` from 0 to 1."""

    field: str
    score: float


@dataclass(frozen=True)
class Column:
    """``index`` from 1; ``field`` is blank for one that is left out."""

    index: int
    name: str
    samples: tuple[str, ...]
    field: str = ""
    because: str = ""
    suggestions: tuple[Suggestion, ...] = ()


def columns_of(table: Table, fields: Mapping[int, str], because: Mapping[int, str]) -> list[Column]:
    open_fields = [name for name in FIELDS if name not in fields.values()]
    return [
        Column(
            index=place + 1,
            name=name,
            samples=_samples(values),
            field=fields.get(place, ""),
            because=because.get(place, ""),
            suggestions=_suggestions(table, place, fields.get(place, ""), open_fields),
        )
        for place, (name, values) in enumerate(zip(table.header, table.columns, strict=True))
    ]


def _samples(values: Iterable[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for value in values:
        if value.strip():
            found[value[:SAMPLE_LENGTH]] = None
            if len(found) == SAMPLES_SHOWN:
                break
    return tuple(found)


_BY_RANK = {
    Rank.OWN_NAME: 1.0,
    Rank.SUPPLIER: 0.98,
    Rank.ALIAS: 0.95,
    Rank.CATALOGUE: 0.9,
    Rank.WEAK: 0.7,
}


def _suggestions(
    table: Table, place: int, chosen: str, open_fields: Sequence[str]
) -> tuple[Suggestion, ...]:
    """Fields that a column could be, the likeliest first; what it is already, is not among them."""
    scores: dict[str, float] = {}
    for name, claims in table.claims.items():
        for claim in claims:
            if claim.place == place:
                scores[name] = max(scores.get(name, 0.0), _BY_RANK[claim.rank])
    if not scores and not chosen and open_fields:
        scores = _alike(table.header[place]) or _by_values(table, place)
    ordered = sorted(scores.items(), key=lambda item: -item[1])
    return tuple(Suggestion(f, round(score, 2)) for f, score in ordered if f != chosen)[:SUGGESTED]


_KNOWN = {**STRONG, **{key: meanings[0][0] for key, meanings in WEAK.items()}}
_KNOWN_KEYS = [key for key in _KNOWN if len(key) > 3]


def _alike(name: str) -> dict[str, float]:
    """Fields whose names are spelt much like this one."""
    key = bare_key_of(name)[:100]
    if len(key) < 4:
        return {}
    # Only now: 4 MB in each process that loads it, which few files need.
    from rapidfuzz import fuzz, process

    found = process.extractOne(key, _KNOWN_KEYS, scorer=fuzz.ratio, score_cutoff=ALIKE)
    return {_KNOWN[found[0]]: 0.8 * found[1] / 100} if found else {}


def _by_values(table: Table, place: int) -> dict[str, float]:
    """Fields that a column's values alone look like."""
    seen = look_at(table.values(place, LOOKED_AT))
    scores: dict[str, float] = {}
    if seen.price is not None and seen.price.looks_like_money:
        scores["price"] = 0.5
    if seen.active is not None and seen.active.sure:
        scores["active"] = 0.4
    if seen.could_be_sku and seen.filled > 1:
        scores["sku"] = 0.4
    if seen.could_be_description and seen.average_length > 60:
        scores["description"] = 0.35
    elif seen.could_be_name and seen.unique > 0.8 and seen.spaced > 0.5:
        scores["name"] = 0.35
    return scores


_LABELS = {"sku": "SKU", "active": "active or not"}


def notes_of(table: Table, rules: Rules, fields: Mapping[int, str], *, tell: bool) -> list[str]:
    """What became of the columns: what was read as what, if names do not tell, and what was not."""
    notes = []
    if tell and fields:
        read = ", ".join(
            f"“{table.header[place].strip()[:40] or place + 1}” as "
            f"{_LABELS.get(name) or table.memory.own.label(name)}" + _told(rules, name)
            for place, name in fields.items()
        )
        notes.append(f"Read: {read}.")
    left_out = [
        place
        for place, name in enumerate(table.header)
        if place not in fields and name.strip() and name not in OWN_COLUMNS
    ]
    if left_out:
        worth = {c.place for claims in table.claims.values() for c in claims}
        left_out.sort(key=lambda place: place not in worth)
        names = ", ".join(f"“{table.header[place].strip()[:40]}”" for place in left_out[:NAMED])
        more = f" and {len(left_out) - NAMED} more" if len(left_out) > NAMED else ""
        notes.append(f"Columns that the catalogue does not know were left out: {names}{more}.")
    if not any(rule.field == "name" for rule in rules.columns):
        notes.append(
            "The file has no name column: products that are in the catalogue are updated, "
            "new ones cannot be created."
        )
    return notes


def _told(rules: Rules, name: str) -> str:
    """How a field's values are read, in brackets, where it is not as they stand."""
    rule = next(one for one in rules.columns if one.field == name)
    said = ["products are found by it"] if name == rules.key and own_key(rules) else []
    if rule.decimal:
        said.append("decimal comma" if rule.decimal == "," else "decimal point")
    if rule.currency:
        said.append(f"in {rule.currency}")
    if rule.date:
        said.append(WRITTEN[rule.date])
    if rule.values:
        said.append(", ".join(f"{a[:20]} = {b[:20]}" for a, b in list(rule.values.items())[:6]))
    return f" ({'; '.join(said)})" if said else ""
