"""Which column is which field."""

import hashlib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from imports.mapping.aliases import STRONG
from imports.mapping.questions import Question
from imports.mapping.rules import ColumnRule, Rules, resolve_columns


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


@dataclass(frozen=True)
class Memory:
    """Earlier choices: normalised names of columns to fields."""

    supplier: Mapping[str, str] = field(default_factory=dict)
    catalogue: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Matched:
    """``rules`` name every column that is read; ``questions`` is what keeps it from being read."""

    rules: Rules
    columns: list[Column]
    questions: list[Question]
    notes: list[str]


def normalised(name: str) -> str:
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in text if c.isalnum())


def fingerprint(header: Sequence[str]) -> str:
    """What files with the same columns have in common, in any order; blank for no names."""
    names = sorted(filter(None, map(normalised, header)))
    return hashlib.sha256("\n".join(names).encode()).hexdigest() if names else ""


def match(
    header: Sequence[str],
    records: Sequence[Sequence[str]],
    rules: Rules,
    memory: Memory = Memory(),
) -> Matched:
    questions: list[Question] = []
    fields: dict[int, str] = {}
    if rules.columns:
        for product_field, places in resolve_columns(rules, list(header)).fields.items():
            fields.update(dict.fromkeys(places, product_field))
    else:
        for place, name in enumerate(header):
            if (found := STRONG.get(normalised(name))) and found not in fields.values():
                fields[place] = found
        rules = replace(
            rules,
            columns=tuple(
                ColumnRule(field=found, columns=(header[place],)) for place, found in fields.items()
            ),
        )
    if "sku" not in fields.values():
        names = ", ".join(f"“{name[:40]}”" for name in header[:20])
        questions.append(
            Question("no_sku", "", f"The file has no SKU column. Columns found: {names}.")
        )
    columns = [
        Column(
            index=place + 1,
            name=name,
            samples=tuple(r[place] for r in records if place < len(r) and r[place].strip())[:5],
            field=fields.get(place, ""),
        )
        for place, name in enumerate(header)
    ]
    return Matched(rules, columns, questions, [])
