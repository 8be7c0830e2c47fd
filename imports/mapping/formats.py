"""A format's rules against the columns of a file at hand: what moved, what is gone, what is new."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from imports.mapping.matching.aliases import key_of, keys_of
from imports.mapping.matching.choosing import choose
from imports.mapping.matching.match import Matched, follow
from imports.mapping.matching.table import Memory, Table, meaning
from imports.mapping.model import reference
from imports.mapping.own import fitting
from imports.mapping.questions import Question
from imports.mapping.rules import (
    Column,
    ColumnRule,
    Condition,
    Rules,
    folded,
    resolve_columns,
)


@dataclass(frozen=True)
class KnownFormat:
    """What recognising takes: its name in a sentence, its rules, the columns of its files.

    ``lenient``: columns that a file lacks are left out, as of a ready-made one. Of records that
    have the same in the column ``within``, only the first has the columns ``once``.
    """

    title: str
    rules: Rules
    columns: Sequence[str]
    lenient: bool = False
    within: str = ""
    once: Callable[[str], bool] = lambda name: False


@dataclass
class _Fitted:
    rules: Rules
    gone: list[tuple[str, str]] = field(default_factory=list)  # a column's name, its field


def under(rules: Rules, format_: Rules) -> Rules:
    """Rules that were given, and those of a format for everything that they leave open."""
    nothing = Rules()
    given = {
        name: value
        for name in Rules.__dataclass_fields__
        if (value := getattr(rules, name)) != getattr(nothing, name)
    }
    return replace(format_, **given)


def likeness(columns: Sequence[str], header: Sequence[str]) -> float:
    """How much of two files' columns is the same, from 0 to 1."""
    one, other = set(keys_of(columns)) - {""}, set(keys_of(header)) - {""}
    return len(one & other) / max(len(one), len(other), 1)


def read_as(
    known: KnownFormat,
    header: Sequence[str],
    records: Sequence[Sequence[str]],
    memory: Memory,
) -> Matched:
    """Match a file's columns as a format says, and ask for what has changed about them alone."""
    rules, unfit = fitting(known.rules, memory.own.definitions)
    known = replace(known, rules=rules)
    fitted = _fit(known, header)
    added = _added(known, header)
    rules = fitted.rules
    asked: list[Question] = []
    if fitted.gone and not known.lenient:
        rules, asked = _ask_for_gone(known, fitted, header, added)
    asked += _ask_for_new(known, header, added)
    if known.lenient:
        rules = _without_blank_skus(rules, header, records)
        rules = _with_own(header, records, replace(known, rules=rules), memory)
    matched = follow(header, records, rules, memory)
    notes = [f"Read as {known.title}.", *unfit]
    here = set(keys_of(header))
    gone = (
        [] if known.lenient else [n for n in known.columns if n.strip() and key_of(n) not in here]
    )
    if gone or added:
        notes.append(_changes(header, gone, added))
    return replace(matched, questions=[*asked, *matched.questions], notes=[*notes, *matched.notes])


def _without_blank_skus(
    rules: Rules, header: Sequence[str], records: Sequence[Sequence[str]]
) -> Rules:
    """Of a shop without SKUs: which column has them is asked, and none is left out for its own."""
    resolved = resolve_columns(rules, list(header))
    places = resolved.fields.get("sku", ())
    said = (record[p].strip() for record in records for p in places if p < len(record))
    if len(records) < 2 or any(said):
        return rules
    conditions = zip(rules.only_if, resolved.conditions, strict=True)
    return replace(
        rules,
        columns=tuple(rule for rule in rules.columns if rule.field != "sku"),
        only_if=tuple(condition for condition, place in conditions if place not in places),
    )


def _with_own(
    header: Sequence[str],
    records: Sequence[Sequence[str]],
    known: KnownFormat,
    memory: Memory,
) -> Rules:
    """A ready-made format's rules, and the own fields whose columns its files have."""
    rules, table = known.rules, Table(header, records, memory)
    taken = {
        place for places in resolve_columns(rules, list(header)).fields.values() for place in places
    }
    named = {rule.field for rule in rules.columns}
    more = []
    for name in memory.own.fields:
        claim = choose(table, name).claim
        if claim is not None and claim.place not in taken and name not in named:
            rule = ColumnRule(name, columns=(reference(header, claim.place),))
            if known.once(header[claim.place]):
                rule = replace(rule, fill_down=True, within=known.within)
            more.append(rule)
    return replace(rules, columns=(*rules.columns, *more))


def _fit(known: KnownFormat, header: Sequence[str]) -> _Fitted:
    """Name the columns as this file does, and leave out the rules whose columns it lacks."""
    fitted = _Fitted(known.rules)
    moved = bool(known.columns) and keys_of(known.columns) != keys_of(header)
    columns: list[ColumnRule] = []
    for rule in known.rules.columns:
        named = [*rule.columns, *([] if rule.within is None else [rule.within])]
        found = [_find(column, header, moved and not known.lenient) for column in named]
        if None in found:
            fitted.gone += [
                (_name(known, column), rule.field)
                for column, place in zip(named, found, strict=True)
                if place is None
            ]
        else:
            here = [c for c in found if c is not None]
            within = here.pop() if rule.within is not None else None
            columns.append(replace(rule, columns=tuple(here), within=within))
    conditions: list[Condition] = []
    for condition in known.rules.only_if:
        place = _find(condition.column, header, moved and not known.lenient)
        if place is None:
            fitted.gone.append((_name(known, condition.column), ""))
        else:
            conditions.append(replace(condition, column=place))
    blank = dict(known.rules.blank)
    if known.lenient:  # what a blank does in a column that is left out, says nothing
        read = {rule.field for rule in columns}
        blank = {name: does for name, does in blank.items() if name in read}
    fitted.rules = replace(
        known.rules, columns=tuple(columns), only_if=tuple(conditions), blank=blank
    )
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
    before = set(keys_of(known.columns))
    if not before or known.lenient:
        return []
    return [p for p, name in enumerate(header) if name.strip() and key_of(name) not in before]


def _ask_for_gone(
    known: KnownFormat, fitted: _Fitted, header: Sequence[str], added: Sequence[int]
) -> tuple[Rules, list[Question]]:
    """Ask which columns are now what those were; one that its name tells is put in their place."""
    rules = fitted.rules
    questions: list[Question] = []
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


def _ask_for_new(known: KnownFormat, header: Sequence[str], added: Sequence[int]) -> list[Question]:
    """Ask about new columns whose names mean a field that was not in the files before."""
    read = {rule.field for rule in known.rules.columns}
    return [
        Question(
            "changed_columns",
            header[place],
            f"The column “{header[place].strip()[:60]}” is new in files of {known.title}: its name "
            f"means {field_}, which they did not have. Say whether it is read from now on.",
        )
        for place in added
        if (field_ := meaning(header[place])) and field_ not in read
    ]


def _changes(header: Sequence[str], gone: Sequence[str], added: Sequence[int]) -> str:
    said = []
    if gone:
        said.append("no longer there: " + ", ".join(f"“{name[:40]}”" for name in gone[:20]))
    if added:
        new = ", ".join(f"“{header[place].strip()[:40]}”" for place in added[:20])
        said.append(f"new: {new}")
    return f"Its columns have changed; {'; '.join(said)}."
