"""The plain majority of a block's records, taken at once, column by column.

What is accepted here is what the plan's own way would make of it; all else is left to that.
"""

import re
from collections.abc import Callable, Sequence
from itertools import repeat
from operator import itemgetter
from typing import cast

from catalog.values import (
    DESCRIPTION_MAX_LENGTH,
    FIELDS,
    NAME_MAX_LENGTH,
    NAME_TRIMMED,
    SKU_MAX_LENGTH,
)
from imports.mapping.cells import NO_TEXT_MAX_LENGTH, NO_TEXTS
from imports.mapping.quick import Five, Quick, plain_sku
from imports.mapping.values import Plan
from imports.readers.csv.cells import Row, escaped
from imports.readers.csv.header import Layout

AS_READ = "="  # before a record that is kept as its line; one that is kept as JSON begins with [

Column = Sequence[str]

_plain_sku = plain_sku()
_plain_price = re.compile(r"[0-9]{1,10}(?:\.[0-9]{1,2}0{0,8})?|").fullmatch
_PLAIN_ACTIVE = {
    "true": "t",
    "false": "f",
    "True": "t",
    "False": "f",
    "TRUE": "t",
    "FALSE": "f",
    "1": "t",
    "0": "f",
    "": "",
}
_NOTHING: Five = ("", "", "", "", "")


def _plain_sku_but(layout: Layout) -> Callable[[str], object]:
    """Matches a plain SKU that is not the column's own name: a header repeated later on is none."""
    name = layout.header[layout.fields["sku"]]
    pattern = rf"(?!{re.escape(name)}\Z)[!-&(-<>-~][!-~]{{0,{SKU_MAX_LENGTH - 1}}}"
    return re.compile(pattern, re.IGNORECASE).fullmatch


class PlainRows:
    """Takes the records of a layout whose cells are plain.

    ``may_take`` is false where each record has to be looked at: rules may have no quick way.
    """

    def __init__(self, layout: Layout, plan: Plan) -> None:
        self.plan = plan
        self.may_take = (plan.is_plain or plan.quick is not None) and layout.error_column is None
        self.has_name = "name" in plan.fields
        self.unnamed = NO_TEXTS | {""} if self.has_name else NO_TEXTS
        self.keeps_record = not self.has_name or (plan.own is not None and plan.own.may_be_refused)
        # Where no column refuses the header's own name, the SKU has to.
        refuses = "price" in layout.fields or "active" in layout.fields or not layout.header_line
        self.is_plain_sku = _plain_sku if refuses else _plain_sku_but(layout)
        self.own_name = layout.header[layout.fields["sku"]] if layout.header_line else None
        # A blank column is put behind the others; absent fields are picked from there.
        width = len(layout.header)
        self.pick = itemgetter(*(plan.fields.get(name, width) for name in FIELDS))

    def rows(
        self, records: list[list[str]], numbers: Sequence[int], lines: list[str], *, escapes: bool
    ) -> list[Row | None]:
        """The rows of records; ``None`` for each that is not plain.

        They have the header's width, and stand on a line each: ``numbers`` has those from 1,
        ``lines`` the texts. ``escapes``: backslashes or tabs may be there.
        """
        columns: list[Column] = [*zip(*records, strict=True)]
        if self.plan.quick is None:
            five, others = self._plain_five([*columns, [""] * len(records)])
        else:
            five, others = self._five_by_rules(records, self.plan.quick)
        kept = [""] * len(records)
        if self.keeps_record:
            kept = [AS_READ + line.rstrip("\r\n") for line in lines]
        parts: list[Column] = [[*map(str, numbers)], *five, kept]
        if self.plan.own is not None:
            own, wrong = self.plan.own.quick(columns)
            others |= wrong
            parts.append(own)
            escapes |= "\\" in "".join(own)
        if escapes or self.plan.escapes:
            parts = [[*map(escaped, part)] for part in parts]
        rows: list[Row | None] = [*map("\t".join, zip(*parts, strict=True))]
        for place in others:
            rows[place] = None
        return rows

    def _plain_five(self, columns: list[Column]) -> tuple[list[Column], set[int]]:
        """The values of the five fields, and the places of the records that are not plain."""
        skus, names, descriptions, prices, actives = self.pick(columns)
        flags = [*map(_PLAIN_ACTIVE.get, actives)]
        others: set[int] = set()
        if not all(map(self.is_plain_sku, skus)) or not NO_TEXTS.isdisjoint(skus):
            others |= {
                place
                for place, sku in enumerate(skus)
                if not self.is_plain_sku(sku) or sku in NO_TEXTS
            }
        if not all(map(_plain_price, prices)):
            others |= {place for place, price in enumerate(prices) if not _plain_price(price)}
        if None in flags:
            others |= {place for place, flag in enumerate(flags) if flag is None}
            flags = [flag or "" for flag in flags]
        if not self._are_plain_names(names):
            others |= {
                place for place, name in enumerate(names) if not self._are_plain_names([name])
            }
        if not _are_plain_descriptions(descriptions):
            others |= {
                place
                for place, text in enumerate(descriptions)
                if not _are_plain_descriptions([text])
            }
        return [skus, names, descriptions, prices, cast(Column, flags)], others

    def _five_by_rules(
        self, records: list[list[str]], quick: Quick
    ) -> tuple[list[Column], set[int]]:
        """The same by the quick way that rules have."""
        found = [*map(quick, records)]
        own_name = self.own_name
        others = {place for place, five in enumerate(found) if five is None or five[0] == own_name}
        return [*zip(*(five or _NOTHING for five in found), strict=True)], others

    def _are_plain_names(self, names: Column) -> bool:
        return (
            max(map(len, names)) <= NAME_MAX_LENGTH
            and self.unnamed.isdisjoint(names)
            and [*map(str.strip, names, repeat(NAME_TRIMMED))] == [*names]
        )


def _are_plain_descriptions(texts: Column) -> bool:
    return (
        max(map(len, texts)) <= DESCRIPTION_MAX_LENGTH
        and (
            min(map(len, texts)) > NO_TEXT_MAX_LENGTH or NO_TEXTS.isdisjoint(map(str.strip, texts))
        )
        and not any(map(str.isspace, texts))
    )
