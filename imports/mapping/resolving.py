"""Rules against a file's header: where they find their columns."""

import dataclasses
from dataclasses import dataclass

from imports.mapping.model import PROBLEMS_LIMIT, Column, Rules, RulesError, folded
from imports.mapping.rule_parts import shown


@dataclass(frozen=True)
class Resolved:
    """Where rules find their columns: numbers from 0, by field, and by condition.

    ``within`` are those that end a field's ``fill_down``.
    """

    fields: dict[str, tuple[int, ...]]
    conditions: tuple[int, ...] = ()
    within: dict[str, int] = dataclasses.field(default_factory=dict)


def resolve_columns(rules: Rules, header: list[str]) -> Resolved:
    """Find the columns that the rules name. Raises ``RulesError`` with all that it cannot.

    A name is taken as it stands; where none is the same, without regard to case and to blanks
    around it. A name that several columns have is none: the rule has to give the number.
    """
    problems: list[str] = []

    def find(place: str, column: Column) -> int:
        if isinstance(column, int):
            if column > len(header):
                problems.append(f"{place}: There is no column {column}; there are {len(header)}.")
            return column - 1
        found = [i for i, name in enumerate(header) if name == column]
        found = found or [i for i, name in enumerate(header) if folded(name) == folded(column)]
        if len(found) == 1:
            return found[0]
        if found:
            numbers = ", ".join(str(i + 1) for i in found[:10])
            problems.append(f"{place}: Several columns are named {shown(column)}: {numbers}.")
        else:
            problems.append(f"{place}: There is no column {shown(column)} in the file.")
        return 0

    fields: dict[str, tuple[int, ...]] = {}
    within: dict[str, int] = {}
    for number, rule in enumerate(rules.columns):
        if rule.field in fields:
            problems.append(f"columns[{number}].field: “{rule.field}” has a rule already.")
        fields[rule.field] = tuple(find(f"columns[{number}]", name) for name in rule.columns)
        if rule.within is not None:
            within[rule.field] = find(f"columns[{number}].within", rule.within)
    conditions = tuple(
        find(f"only_if[{number}]", condition.column)
        for number, condition in enumerate(rules.only_if)
    )
    if problems:
        raise RulesError(problems[:PROBLEMS_LIMIT])
    return Resolved(fields, conditions, within)
