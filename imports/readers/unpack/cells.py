"""The cells of a workbook as people see them, and what the workbook has lost before."""

import datetime
import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

DIGITS = 15  # that a spreadsheet keeps of a number, and shows
_EXACT = 10**DIGITS
_zero_padded = re.compile(r"0\d+").fullmatch


def number_text(value: float) -> str:
    """A number without ``.0``, without noise beyond 15 digits, and never as ``1E+12``."""
    if value.is_integer() and abs(value) < _EXACT:
        return str(int(value))
    text = f"{value:.{DIGITS}g}"
    return format(Decimal(text), "f") if "e" in text else text


def _moment_text(value: datetime.datetime) -> str:
    if value.time() == datetime.time():
        return value.date().isoformat()
    return value.isoformat(timespec="seconds")


def _duration_text(value: datetime.timedelta) -> str:
    """Hours, which may be more than 24, minutes and seconds."""
    sign = "-" if value < datetime.timedelta() else ""
    minutes, seconds = divmod(round(abs(value.total_seconds())), 60)
    return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"


_TEXT_OF: dict[type, Callable[[Any], str]] = {
    str: str,
    bool: lambda value: "true" if value else "false",
    int: str,
    float: number_text,
    datetime.date: datetime.date.isoformat,
    datetime.datetime: _moment_text,
    datetime.time: lambda value: value.isoformat(timespec="seconds"),
    datetime.timedelta: _duration_text,
    type(None): lambda value: "",
}


class Column:
    """What stands out in a column: numbers beside texts with leading zeros, and long numbers."""

    def __init__(self, number: int) -> None:
        self.number = number  # from 1
        self.name = ""  # its first text
        self.numbers = self.padded = self.long = 0
        self.padded_example = self.long_example = ""

    def texts(self, cells: Sequence[Any]) -> Sequence[str]:
        """The texts of some cells of the column, which are watched."""
        types = set(map(type, cells))
        if str in types:
            self._watch_texts(cells if len(types) == 1 else [c for c in cells if type(c) is str])
        if types == {str}:
            return cells
        if float in types:
            self._watch_numbers([cell for cell in cells if type(cell) is float])
        return [_TEXT_OF[type(cell)](cell) for cell in cells]

    def _watch_texts(self, texts: Sequence[str]) -> None:
        if not self.name:
            self.name = next((text.strip() for text in texts if text.strip()), "")
        padded = [text for text in texts if text[:1] == "0" and _zero_padded(text)]
        if padded:
            self.padded += len(padded)
            self.padded_example = self.padded_example or padded[0]

    def _watch_numbers(self, numbers: list[float]) -> None:
        self.numbers += sum(map(float.is_integer, numbers))
        if max(numbers) >= _EXACT:
            long = [number for number in numbers if number >= _EXACT]
            self.long += len(long)
            self.long_example = self.long_example or number_text(long[0])

    def warnings(self) -> list[str]:
        """Sentences about what is lost already."""
        found = []
        where = f"Column {letters(self.number)}" + (f" (“{self.name[:40]}”)" if self.name else "")
        if self.padded and self.numbers:
            found.append(
                f"{where} has {_cells(self.padded)} with leading zeros, such as "
                f"{self.padded_example[:40]}, and {_cells(self.numbers)} that "
                f"{'is a number' if self.numbers == 1 else 'are numbers'}: if those had leading "
                "zeros, the workbook has lost them. Look at them, or export the column as text."
            )
        if self.long:
            found.append(
                f"{where} has {_cells(self.long)} with a number of more than {DIGITS} digits, such "
                f"as {self.long_example[:40]}: a workbook keeps only {DIGITS}, the others are "
                "zeros now. Export the column as text."
            )
        return found


def _cells(number: int) -> str:
    return f"{number:,} cell{'' if number == 1 else 's'}"


def letters(number: int) -> str:
    """The letters that a spreadsheet gives a column (counted from 1)."""
    text = ""
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("A") + rest) + text
    return text
