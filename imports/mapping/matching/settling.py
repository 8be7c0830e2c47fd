"""What a column's values settle about the rule that it is read by, and what they leave open."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from catalog.field_values import Definition, reads
from catalog.values import FIELDS
from imports.mapping.cells.amounts import (
    Mark,
    group_in,
    needs_mark,
    plain_number,
    prices_in,
    split_amount,
    split_amounts,
)
from imports.mapping.cells.dates import Order, orders_of, read_date, split_date
from imports.mapping.matching.choosing import Choice
from imports.mapping.matching.table import Rank, Table
from imports.mapping.model import references
from imports.mapping.own import NUMBERS
from imports.mapping.questions import Question
from imports.mapping.rules import ColumnRule, Rules


def settle_choices(table: Table, choices: Iterable[Choice]) -> list[ColumnRule]:
    """The rules of the columns that are chosen; what their values leave open is asked."""
    names = references(table.header)
    rules = []
    for choice in choices:
        if choice.claim is None:
            continue
        place, rank = choice.claim.place, choice.claim.rank
        rule, asked = settle(table, ColumnRule(choice.field, columns=(names[place],)), place, rank)
        rules.append(rule)
        choice.questions += asked
        if choice.field == "price" and rank == Rank.OWN_NAME and not asked:
            choice.questions += _ask_for_unread_price(table, place)
    return rules


def settle(
    table: Table, rule: ColumnRule, place: int, rank: Rank
) -> tuple[ColumnRule, list[Question]]:
    """Add to a rule what its column's values settle, and ask about what they leave open."""
    if rule.field == "price":
        return _settle_price(table, rule, place, rank)
    if rule.field == "active":
        return _settle_active(table, rule, place, rank)
    definition = None if rule.field in FIELDS else table.memory.own.definition(rule.field)
    if definition is not None and definition.type in NUMBERS:
        return _settle_number(table, rule, place)
    if definition is not None and definition.type == "date":
        return _settle_date(table, rule, place)
    if definition is not None and definition.type == "boolean":
        return _settle_flag(table, rule, place), []
    return rule, []


def _settle_date(table: Table, rule: ColumnRule, place: int) -> tuple[ColumnRule, list[Question]]:
    """The order of day, month and year, where the values do not read without it.

    A day beyond the twelfth settles it. Years of two digits are refused by their lines.
    """
    if rule.date is not None or rule.values:
        return rule, []
    unsure = [value for value in table.values(place) if value.strip() and not _is_clear(value)]
    orders = {value: orders_of([value]) for value in unsure}
    settled = {found[0] for found in orders.values() if len(found) == 1}
    left_open = [
        value
        for value, found in orders.items()
        if len({read_date(value, order) for order in found}) > 1
    ]
    if len(settled) == 1:
        return replace(rule, date=settled.pop()), []
    if not settled and not left_open:
        order, left_open = _order_of_clear_days(v for v in unsure if orders[v])
        if not left_open:
            return (replace(rule, date=order) if order else rule), []
    where = table.named_first(place)
    if settled:
        message = f"{where} writes its dates in several orders: {table.examples(place, 4)}."
    else:
        first = left_open[0]
        days = " or ".join(dict.fromkeys(read_date(first, order) for order in orders[first]))
        message = (
            f"{where} leaves it open which day is meant: “{first.strip()[:40]}” may be {days}."
        )
    message += " Say in which order day, month and year stand."
    return rule, [Question("unclear_date", table.header[place], message)]


def _order_of_clear_days(days: Iterable[str]) -> tuple[Order | None, list[str]]:
    """The order by which days are read that mean one in any, and those that leave it open.

    Without one they are read where the field reads them so; it knows fewer ways to write a day.
    """
    unread = [day for day in days if not reads(_ONE_DAY, day)]
    years_first = [day for day in unread if len((split_date(day) or ("",))[0]) == 4]
    if not unread or len(years_first) == len(unread):
        return ("ymd" if unread else None), []
    if all("." in day for day in unread):
        return "dmy", []
    return None, unread


_ONE_DAY = Definition("", "", "date")


def _is_clear(value: str) -> bool:
    """Whether a date reads without a rule, and says nothing of the others."""
    parts = split_date(value)
    if parts is not None and len(parts[0]) < 4 and "." not in value:
        return False
    return reads(_ONE_DAY, value)


def _settle_price(
    table: Table, rule: ColumnRule, place: int, rank: Rank
) -> tuple[ColumnRule, list[Question]]:
    is_named = rank == Rank.OWN_NAME  # it is the price, however few of its values are amounts
    price = prices_in(table.values(place)) if is_named else table.evidence(place).price
    if price is None:
        # Where it is named so, each is refused by its line.
        return rule, [] if is_named or not table.filled(place) else [_is_it_the_price(table, place)]
    if price.currency and rule.currency is None:
        rule = replace(rule, currency=price.currency)
    if rule.decimal is None:
        if price.decimal == "?":
            return rule, [_which_mark(table, place)]
        rule = _with_marks(table, rule, place, price.decimal)
    return rule, []


def _ask_for_unread_price(table: Table, place: int) -> list[Question]:
    """Ask where a column of prices has numbers, with something behind each that nobody knows."""
    values = [value.strip() for value in table.values(place) if value.strip()]
    begun = [value for value in values if value[:1].isdecimal()]
    numbers = sum(amount is not None for amount in split_amounts(begun))
    if len(values) < 2 or 2 * numbers <= len(values) or prices_in(values) is not None:
        return []
    return [_is_it_the_price(table, place)]


def _is_it_the_price(table: Table, place: int) -> Question:
    message = (
        f"{table.named_first(place)} is called a price, but has {table.examples(place)}. "
        "Is it the price?"
    )
    return Question("unclear_price", table.header[place], message)


def _settle_number(table: Table, rule: ColumnRule, place: int) -> tuple[ColumnRule, list[Question]]:
    """An own field's numbers: what does not read is refused by its line, so only marks matter."""
    price = table.evidence(place).price
    if price is None or rule.decimal is not None:
        return rule, []
    if price.currency and rule.currency is None:
        rule = replace(rule, currency=price.currency)
    if price.decimal == "?" and not price.mixed:
        return rule, [_which_mark(table, place)]
    return _with_marks(table, rule, place, price.decimal), []


def _with_marks(table: Table, rule: ColumnRule, place: int, mark: Mark) -> ColumnRule:
    """With the marks that the values do not read without."""
    values = table.values(place)
    if mark in (".", ",") and needs_mark(values, mark):
        return replace(rule, decimal=mark)
    sign = group_in(values) if not mark else ""
    # Of whole numbers alone: what mark goes with such groups elsewhere.
    return replace(rule, decimal="," if sign == " " else ".", group=sign) if sign else rule


def _which_mark(table: Table, place: int) -> Question:
    """What to ask where the values leave their decimal mark open, or contradict each other."""
    where, price = table.named_first(place), prices_in(table.values(place))
    if price is not None and not price.mixed and price.open_values:
        value = price.open_values[0]
        message = (
            f"{where} leaves its decimal mark open: “{value[:40]}” is "
            f"{_as(value, '.')} with a point as the mark, and {_as(value, ',')} with a comma. "
            "Say which one it is."
        )
    else:
        message = (
            f"{where} writes its numbers in two ways: {table.examples(place, 6)}. Say which "
            "decimal mark is right; what does not fit to it is refused."
        )
    return Question("unclear_decimal", table.header[place], message)


def _as(value: str, mark: str) -> str:
    amount = split_amount(value)
    return (amount and plain_number(amount.number, mark)) or "no number"


def _settle_active(
    table: Table, rule: ColumnRule, place: int, rank: Rank
) -> tuple[ColumnRule, list[Question]]:
    evidence = table.evidence(place)
    active = evidence.active
    if rule.values or not evidence.filled or (active is not None and active.plain):
        return rule, []
    if active is not None and active.sure:
        return replace(rule, values=active.table), []
    if rank == Rank.OWN_NAME:
        return rule, []  # what is no such word is refused by its line
    where = table.named_first(place)
    message = (
        f"{where} has words that are not known: {table.examples(place, 6)}. Say what each of them "
        "means for “active”."
    )
    return rule, [Question("unclear_active", table.header[place], message)]


def _settle_flag(table: Table, rule: ColumnRule, place: int) -> ColumnRule:
    """Words for yes and no of another language, where all of them are known."""
    active = table.evidence(place).active
    if rule.values or active is None or active.plain or not active.sure:
        return rule  # what is no such word is refused by its line
    return replace(rule, values=active.table)


LINES_NAMED = 5  # in a sentence
SHARE = 0.1  # of the records, from which on those without a name are of a kind


def ask_for_further_lines(table: Table, rules: Rules, fields: Mapping[int, str]) -> list[Question]:
    """Ask what the name is of records that seem to be further lines of the product above.

    Of a product with variants, many programs write the name into its first line only. Those lines
    have an SKU, a price where there is a column of it, and at least two other columns blank that
    the lines with a name fill.
    """
    of = {name: place for place, name in fields.items()}
    rule = next((one for one in rules.columns if one.field == "name"), None)
    asked = rule is not None and not rule.fill_down and "name" not in rules.blank
    if rule is None or not asked or rules.only_if or "sku" not in of or "name" not in of:
        return []
    records = [record for record in table.records if _cell(record, of["sku"])]
    named = [record for record in records if _cell(record, of["name"])]
    lines = [record for record in records if not _cell(record, of["name"])]
    if not lines or not _cell(records[0], of["name"]) or len(lines) < SHARE * len(records):
        return []
    blank = [p for p in range(len(table.header)) if not any(_cell(one, p) for one in lines)]
    once = [p for p in blank if 2 * sum(bool(_cell(one, p)) for one in named) >= len(named)]
    others = [place for place in once if fields.get(place) not in FIELDS]
    if len(others) < 2 or of.get("price") in once:
        return []
    skus = ", ".join(f"“{_cell(one, of['sku'])[:40]}”" for one in lines[:LINES_NAMED])
    skus += " and more" if len(lines) > LINES_NAMED else ""
    columns = " and ".join(table.named(place) for place in others[:2])
    return [
        Question(
            "blank_names",
            table.header[of["name"]],
            f"Of the first {len(records):,} records, {len(lines):,} have an SKU and no name: "
            f"{skus}. Nothing stands in {columns} either, so these may be further lines of the "
            "product above. Say whether the name is filled in from the record above, or what else "
            "becomes of such records.",
        )
    ]


def _cell(record: Sequence[str], place: int) -> str:
    return record[place].strip() if place < len(record) else ""
