"""Which column is which field: what is clear, and what has to be asked.

A field is looked for by its own name, by what was chosen before for this supplier's files, by the
names that people give to it (``aliases``), and by what was chosen before for anybody's. What the
names say, the values have to bear out (``evidence``). Names that are only alike, and columns whose
values alone look like a field, are suggested and never taken unasked.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from imports.mapping.matching.aliases import bare_key_of, keys_of
from imports.mapping.matching.choosing import Choice, ask_for_sku, choose_all, reasons_of
from imports.mapping.matching.settling import ask_for_further_lines, settle, settle_choices
from imports.mapping.matching.table import Memory, Rank, Table
from imports.mapping.matching.telling import Column, columns_of, notes_of
from imports.mapping.questions import Question
from imports.mapping.rules import ColumnRule, Rules, own_key, resolve_columns


@dataclass(frozen=True)
class Matched:
    """``rules`` name every column that is read; ``questions`` is what keeps it from being read."""

    rules: Rules
    columns: list[Column]
    questions: list[Question]
    notes: list[str]


def fingerprint(header: Sequence[str]) -> str:
    """What files with the same columns have in common, in any order; blank for no names."""
    names = sorted(filter(None, keys_of(header)))
    return hashlib.sha256("\n".join(names).encode()).hexdigest() if names else ""


def match(
    header: Sequence[str],
    records: Sequence[Sequence[str]],
    rules: Rules,
    memory: Memory,
) -> Matched:
    """Settle which columns a file's fields come from, and how their values are read.

    ``records`` is a sample of the file's. Rules that name columns say all of it, but for what the
    values settle; else names do. Raises ``RulesError`` for rules that do not fit to the header.
    """
    if rules.columns:
        return follow(header, records, rules, memory)
    return _find(Table(header, records, memory), rules)


def _find(table: Table, rules: Rules) -> Matched:
    choices = choose_all(table)
    questions = _ask_for_key(table, rules, {c.field for c in choices if c.claim is not None})
    if own_key(rules):  # what is no SKU for sure, is none: none is needed
        choices = [choice for choice in choices if choice.field != "sku" or choice.claim]
    chosen = settle_choices(table, choices)
    questions += [question for choice in choices for question in choice.questions]
    matched = replace(rules, columns=tuple(chosen))
    fields = {c.claim.place: c.field for c in choices if c.claim is not None}
    questions += ask_for_further_lines(table, matched, fields)
    own = all(c.claim is None or c.claim.rank == Rank.OWN_NAME for c in choices)
    return Matched(
        rules=matched,
        columns=columns_of(table, fields, reasons_of(choices)),
        questions=questions,
        notes=notes_of(table, matched, fields, tell=not own or not _are_plain(chosen)),
    )


def _ask_for_key(table: Table, rules: Rules, found: Collection[str]) -> list[Question]:
    """Ask where no column is the own field that products are to be found by."""
    if not own_key(rules) or rules.key in found:
        return []
    if table.memory.own.definition(rules.key) is None:
        message = (
            f"Products are to be found by “{rules.key}”, which is retired or deleted. Say what "
            "they are found by now."
        )
    else:
        message = (
            f"Products are to be found by their {table.memory.own.label(rules.key)}, and no column "
            "is it. Say which one is, or find them by another field."
        )
    return [Question("no_key", "", message)]


def _are_plain(rules: Sequence[ColumnRule]) -> bool:
    return all(rule == ColumnRule(rule.field, columns=rule.columns) for rule in rules)


def follow(
    header: Sequence[str], records: Sequence[Sequence[str]], rules: Rules, memory: Memory
) -> Matched:
    """The same by rules that name the columns, or leave it open that there is none."""
    table = Table(header, records, memory)
    resolved = resolve_columns(rules, list(table.header)).fields
    questions: list[Question] = []
    settled: list[ColumnRule] = []
    fields: dict[int, str] = {}
    for rule in rules.columns:
        places = resolved[rule.field]
        fields.update(dict.fromkeys(places, rule.field))
        if len(places) == 1:
            own = rule.field != "active" or bare_key_of(table.header[places[0]]) == "active"
            rule, asked = settle(table, rule, places[0], Rank.OWN_NAME if own else Rank.ALIAS)
            questions += asked
        settled.append(rule)
    questions += _ask_for_key(table, rules, resolved)
    if "sku" not in resolved and not own_key(rules):
        choice = Choice("sku")
        ask_for_sku(table, choice, table.claims["sku"])
        questions = [*choice.questions, *questions]
    matched = replace(rules, columns=tuple(settled))
    questions += ask_for_further_lines(table, matched, fields)
    because = dict.fromkeys(fields, "It was chosen.")
    return Matched(
        rules=matched,
        columns=columns_of(table, fields, because),
        questions=questions,
        notes=notes_of(table, matched, fields, tell=True),
    )
