"""Parts of rules as JSON gives them: objects, lists, texts and numbers, with what is wrong."""

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from imports.mapping.model import Column

COLUMN_LIMIT = 500
TABLE_LIMIT = 10_000  # entries of a table of values, or of a condition
TEXT_LIMIT = 10_000  # characters of a column's name, a separator, a word in a table

_unstorable = re.compile("[\0\ud800-\udfff]").search


class PartReader:
    """Reads parts, and collects what is wrong by their place; what it returns then is of no use."""

    def __init__(self) -> None:
        self.problems: list[str] = []

    def wrong(self, place: str, what: str) -> None:
        self.problems.append(f"{place}: {what}")

    def object_of(self, place: str, data: object, keys: tuple[str, ...]) -> dict[str, Any]:
        """The known keys of an object; ``None`` stands for an absent one."""
        if not isinstance(data, dict):
            self.wrong(place, "It has to be an object.")
            return {}
        for key in data:
            if key not in keys:
                self.wrong(place, f"There is no {shown(key)}. There are: {', '.join(keys)}.")
        return {key: value for key, value in data.items() if key in keys and value is not None}

    def list_of(
        self, place: str, data: object, item: Callable[[str, object], Any]
    ) -> tuple[Any, ...]:
        limit = TABLE_LIMIT if place.startswith("only_if[") else COLUMN_LIMIT
        if not isinstance(data, list | tuple) or len(data) > limit:
            self.wrong(place, f"It has to be a list of at most {limit:,}.")
            return ()
        return tuple(item(f"{place}[{number}]", value) for number, value in enumerate(data))

    def column(self, place: str, value: object) -> Column:
        if isinstance(value, int) and not isinstance(value, bool):
            if not 1 <= value <= 1_000_000:
                self.wrong(place, "Numbers count from 1.")
            return value
        text = self.text(place, value)
        if isinstance(value, str) and not text.strip():
            self.wrong(place, "A name that is blank names nothing: give the number, from 1.")
        return text

    def text(self, place: str, value: object, *, limit: int = TEXT_LIMIT) -> str:
        if not isinstance(value, str):
            self.wrong(place, "It has to be a text.")
        elif len(value) > limit:
            self.wrong(place, f"It has more than {limit:,} characters.")
        elif _unstorable(value):
            self.wrong(place, "It has a NUL byte or half a character in it.")
        else:
            return value
        return ""

    def scalar(self, place: str, value: object, *, limit: int = TEXT_LIMIT) -> str:
        """A text, a number or a truth value, as text."""
        if isinstance(value, bool):
            return "true" if value else "false"
        number = None if isinstance(value, str) else plain_number(value)
        return self.text(place, value if number is None else number, limit=limit)

    def flag(self, place: str, value: object) -> bool:
        if not isinstance(value, bool):
            self.wrong(place, "It has to be true or false.")
        return value is True


def shown(value: object) -> str:
    if isinstance(value, str):
        return f"“{value[:60].encode('utf-8', 'replace').decode()}”"
    return "nothing" if value is None else f"a {type(value).__name__}"


def decimal_of(value: object) -> Decimal | None:
    """A finite number out of JSON; a float as it was written."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        # An int of thousands of digits has no text, and is none of ours.
        number = Decimal(value if isinstance(value, int) else str(value).strip())
    except (InvalidOperation, ValueError):
        return None
    return number if number.is_finite() else None


def plain_number(value: object) -> str | None:
    """A number as text in plain digits; ``None`` for what is none, or one far too long."""
    number = None if isinstance(value, str) else decimal_of(value)
    if number is None or abs(number.adjusted()) > 20:
        return None
    return f"{number:f}"
