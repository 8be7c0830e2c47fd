"""The first records on the matching page: what the file has, and what it would become."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from catalog.field_values import Definition, as_text
from imports.mapping.model import OWN_PREFIX


@dataclass
class Cell:
    raw: str
    value: str
    problem: str = ""

    @property
    def same(self) -> bool:
        plain = self.value.replace(",", "").removesuffix(".00")
        return self.raw.strip() in (self.value, plain, f"{plain}.00")


@dataclass
class Row:
    line: int
    cells: list[Cell]
    skipped: bool

    @property
    def refused(self) -> bool:
        return any(cell.problem for cell in self.cells)


def records(
    shown: Mapping[str, Any],
    fields: Sequence[str],
    places: Mapping[str, Sequence[int]],
    own: Mapping[str, Definition],
) -> list[Row]:
    """A row for each record that ``queries.mapping.preview`` shows, with a cell for each field.

    ``places`` are the columns of a field, by number from 1; ``own`` the own fields, by key.
    """
    header = [column["name"] for column in shown.get("columns", ())]
    first = {name: header[numbers[0] - 1] for name, numbers in places.items() if numbers}
    rows = []
    for record in shown.get("preview", ()):
        problems: dict[str, str] = {}
        for problem in record["problems"]:
            name = next(
                (n for n in fields if problem["code"].endswith(f"_{n}")),
                next((n for n in fields if first.get(n) == problem["column"]), fields[0]),
            )
            problems.setdefault(name, problem["message"])
        cells = [
            Cell(
                record["raw"].get(name, ""),
                _as_text(name, record["values"].get(name), own),
                problems.get(name, ""),
            )
            for name in fields
        ]
        rows.append(Row(record["line"], cells, record["skipped"]))
    return rows


def _as_text(name: str, value: Any, own: Mapping[str, Definition]) -> str:
    definition = own.get(name.removeprefix(OWN_PREFIX))
    if definition is not None:
        if isinstance(value, bool):
            return "Yes" if value else "No"
        return as_text(definition, value)
    if name == "active":
        return {True: "Active", False: "Inactive"}.get(value, "")
    if name == "price" and value:
        return f"{Decimal(value):,.2f}"
    return "" if value is None else str(value)
