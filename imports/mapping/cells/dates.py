"""Dates as files write them: in which order day, month and year stand, by the values or a rule."""

import re
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Literal, get_args

Order = Literal["dmy", "mdy", "ymd"]
ORDERS: tuple[Order, ...] = get_args(Order)
WRITTEN = {"dmy": "day, month, year", "mdy": "month, day, year", "ymd": "year, month, day"}

# With the time that programs put behind a day, if it is midnight.
_parts = re.compile(
    r"(\d{1,4})([./\- ])\s?(\d{1,2})\2\s?(\d{1,4})\.?(?:[T ]0{1,2}:00(?::00(?:\.0+)?)?Z?)?"
).fullmatch
_PLACES: dict[Order, tuple[int, int, int]] = {"dmy": (2, 1, 0), "mdy": (2, 0, 1), "ymd": (0, 1, 2)}


def split_date(text: str) -> tuple[str, str, str] | None:
    """The three numbers of what is written like a date, in their order; ``None`` for other text."""
    found = _parts(text.strip())
    return (found[1], found[3], found[4]) if found else None


def read_date(text: str, order: Order) -> str:
    """A date as ``YYYY-MM-DD``. Raises ``ValueError`` with a sentence.

    Dates with the year first read under every order: they can mean one day only.
    """
    shown = text.strip()[:40]
    parts = split_date(text)
    if parts is None:
        raise ValueError(f"“{shown}” is not a date. Write it like 2026-03-02.")
    year, month, day = (parts[n] for n in _PLACES["ymd" if len(parts[0]) == 4 else order])
    if len(year) != 4:
        if len(year) == 2 and max(len(month), len(day)) <= 2:
            raise ValueError(f"“{shown}” has a year of two digits. Write all four, like 2026.")
        raise ValueError(f"“{shown}” is no date with {WRITTEN[order]} in this order.")
    try:
        return date(int(year), int(month), int(day)).isoformat()
    except ValueError:
        raise ValueError(
            f"“{shown}” is a day that there is not, with {WRITTEN[order]} in this order."
        ) from None


def orders_of(values: Iterable[str]) -> list[Order]:
    """The orders that all dates among some values can be read by; none where there is no date."""
    dates = [value for value in values if split_date(value)]
    return [order for order in ORDERS if dates and all(_reads(v, order) for v in dates)]


def _reads(text: str, order: Order) -> bool:
    try:
        read_date(text, order)
    except ValueError:
        return False
    return True


def are_dates(values: Sequence[str]) -> bool:
    """Whether a column has nothing but dates, in one order at least."""
    return bool(values) and all(map(split_date, values)) and bool(orders_of(values))
