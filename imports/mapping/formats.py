"""A format's rules against the columns of a file at hand: what moved, what is gone, what is new."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from imports.mapping.aliases import key_of
from imports.mapping.matching import Matched, Memory, follow, reference
from imports.mapping.questions import Question
from imports.mapping.rules import Column, ColumnRule, Condition, Rules, folded


@dataclass(frozen=True)
class KnownFormat:
    """What recognising takes: its name in a sentence, its rules, the columns of its files.

    ``lenient``: columns that a file lacks are left out, as of a ready-made one.
    """

    title: str
    rules: Rules
    columns: Sequence[str]
    lenient: bool = False


@dataclass
class _Fitted:
    rules: Rules
    gone: list[tuple[str, str]] = field(default_factory=list)  # a column's name, its field


def under(rules: Rules, format_: Rules) -> Rules:
    """Rules that were given, and those of a format for everything that they leave open."""
    given = {
        name: value
        for name in Rules.__dataclass_fields__
        if (value := getattr(rules, name)) not in ("auto", (), {})
    }
    return replace(format_, **given)


def likeness(columns: Sequence[str], header: Sequence[str]) -> float:
    """How much of two files' columns is the same, from 0 to 1."""
    one, other = set(map(key_of, columns)) - {""}, set(map(key_of, header)) - {""}
    return len(one & other) / len(one | other) if one | other else 0.0


def read_as(
    known: KnownFormat,
    header: Sequence[str],
    records: Sequence[Sequence[str]],
    memory: Memory,
) -> Matched:
    """Match a file's columns as a format says, and ask for what has changed about them alone."""
    fitted = _fit(known, header)
    added = _added(known, header)
    rules, asked = fitted.rules, []
    if fitted.gone and not known.lenient:
        rules, asked = _ask_for_gone(known, fitted, header, added)
    matched = follow(header, records, rules, memory)
    notes = [f"Read as {known.title}."]
    if not known.lenient and (fitted.gone or added):
        notes.append(_changes(known, [name for name, _ in fitted.gone], added))
    return replace(matched, questions=[*asked, *matched.questions], notes=[*notes, *matched.notes])


def _fit(known: KnownFormat, header: Sequence[str]) -> _Fitted:
    """Name the columns as this file does, and leave out the rules whose columns it lacks."""
    fitted = _Fitted(known.rules)
    moved = bool(known.columns) and list(map(key_of, known.columns)) != list(map(key_of, header))
    columns: list[ColumnRule] = []
    for rule in known.rules.columns:
        found = [_find(column, header, moved and not known.lenient) for column in rule.columns]
        if None in found:
            fitted.gone += [
                (_name(known, column), rule.field)
                for column, place in zip(rule.columns, found, strict=True)
                if place is None
            ]
        else:
            columns.append(replace(rule, columns=tuple(c for c in found if c is not None)))
    conditions: list[Condition] = []
    for condition in known.rules.only_if:
        place = _find(condition.column, header, moved and not known.lenient)
        if place is None:
            fitted.gone.append((_name(known, condition.column), ""))
        else:
            conditions.append(replace(condition, column=place))
    fitted.rules = replace(known.rules, columns=tuple(columns), only_if=tuple(conditions))
    return fitted


def _find(column: Column, header: Sequence[str], moved: bool) -> Column | None:
    """A rule's column, as it is named here; a number tells nothing once columns have moved."""
    if isinstance(column, int):
        return None if moved or column > len(header) else column
    found = [place for place, name in enumerate(header) if folded(name) == folded(column)]
    found = found or [p for p, name in enumerate(header) if key_of(name) == key_of(column)]
    return reference(header, found[0]) if len(found) == 1 else None


def _name(known: KnownFormat, column: Column) -> str:
    if isinstance(column, str):
        return column
    named = known.columns[column - 1] if column <= len(known.columns) else ""
    return named or f"column {column}"


def _added(known: KnownFormat, header: Sequence[str]) -> list[int]:
    """The columns that files of this format did not have before."""
    before = set(map(key_of, known.columns))
    if not before or known.lenient:
        return []
    return [p for p, name in enumerate(header) if name.strip() and key_of(name) not in before]


def _ask_for_gone(
    known: KnownFormat, fitted: _Fitted, header: Sequence[str], added: Sequence[int]
) -> tuple[Rules, list[Question]]:
    """Ask which columns are now what those were; one that its name tells is put in their place."""
    from imports.mapping.matching import meaning

    rules, questions = fitted.rules, []
    for name, product_field in fitted.gone:
        perhaps = [p for p in added if product_field and meaning(header[p]) == product_field]
        new = ", ".join(f"“{header[place].strip()[:40]}”" for place in added[:20])
        likely = f" “{header[perhaps[0]].strip()[:40]}” may be it." if len(perhaps) == 1 else ""
        what = f"{product_field}" if product_field else "which records are taken"
        questions.append(
            Question(
                "changed_columns",
                name,
                f"{known.title} takes {what} from the column “{name[:60]}”, which this file does "
                f"not have. {f'New in it: {new}.' if new else 'Nothing is new in it.'}{likely} "
                "Say which column it is now, or that there is none.",
            )
        )
        before = next((r for r in known.rules.columns if r.field == product_field), None)
        if len(perhaps) == 1 and before is not None and len(before.columns) == 1:
            here = replace(before, columns=(reference(header, perhaps[0]),))
            rules = replace(rules, columns=(*rules.columns, here))
    return rules, questions


def _changes(known: KnownFormat, gone: Sequence[str], added: Sequence[int]) -> str:
    return ""
