"""What is fixed before the first record: how a file is written, and which column is which field."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any, BinaryIO

from catalog.field_values import Definition, definition_of
from imports.mapping.rules import parse_rules
from imports.mapping.values import Plan, compile_plan, plain_plan
from imports.readers.csv.dialect.encoding import Transcoder, codec_of, is_transcoded
from imports.readers.csv.lines import Readable, Writing

COLUMN_LIMIT = 500

# Names of columns as people write them, without case, spaces, underscores and hyphens.
# The first of each is the field's own name and wins where a file has an alias as well.
FIELD_NAMES = {
    "sku": ("sku", "productsku", "itemsku", "skucode", "stockkeepingunit"),
    "name": ("name", "title", "productname", "producttitle", "itemname"),
    "description": ("description", "productdescription", "longdescription", "desc"),
    "price": ("price", "unitprice", "productprice"),
    "active": ("active", "isactive", "status", "enabled"),
}
# What rejects.csv adds: a file of mended records is taken as it is.
LINE_COLUMN = "_line"
ERROR_COLUMN = "_error"


class UnreadableFile(Exception):
    """The file as a whole cannot be imported; the message tells its owner what to do."""


@dataclass(frozen=True)
class Layout:
    """How to read a file, and where.

    ``fields`` maps a product field to its column (from 0); ``offset`` (bytes of UTF-8 or of
    the file's own single-byte text) and ``line`` tell where the records start. ``rules`` are the
    resolved ones (``imports.mapping.rules``) of a file that has some: ``fields`` then has each of
    their fields, with the column that it begins at (-1: a constant). What has a default came
    later: layouts that were stored before have none of it.
    """

    encoding: str
    mark_size: int
    delimiter: str
    header: list[str]  # of a file without a header: the columns' numbers, from 1
    fields: dict[str, int]
    offset: int
    line: int
    warnings: list[str] = field(default_factory=list)
    rules: dict[str, Any] = field(default_factory=dict)
    quote: str = '"'  # "": quotes are text
    header_line: int = 1  # from 1; 0: there is none
    widths: list[int] = field(default_factory=list)  # of records that lack blank cells, or add some
    drops_blanks: bool = False  # blank cells at a record's end are not written, whatever column
    padded: bool = False  # blanks stand around cells, and around their quotes
    own: list[dict[str, Any]] = field(default_factory=list)  # field_values.Definition, as JSON
    wrapped: str = ""  # each line is one quoted field, with this delimiter behind it

    @property
    def codec(self) -> str:
        """The encoding of the lines that ``open_text`` gives."""
        return codec_of(self.encoding)

    @property
    def writing(self) -> Writing:
        return Writing(self.delimiter, self.quote, self.padded, self.wrapped)

    @property
    def keys(self) -> list[str]:
        """The normalised names of the columns."""
        return [normalised(name) for name in self.header]

    @property
    def error_column(self) -> int | None:
        """Where ``rejects.csv`` keeps its reason, if this file is one."""
        return self.header.index(ERROR_COLUMN) if ERROR_COLUMN in self.header else None

    @property
    def definitions(self) -> dict[str, Definition]:
        """The own fields that it has columns for, as they were when it was read first."""
        return {one["key"]: definition_of(one) for one in self.own}

    def plan(self) -> Plan:
        """How its records become values.

        Each reader has its own where that holds what stood above; else all have one, and what it
        remembers of a column's cells.
        """
        return self._made_plan() if self._plan.filled else self._plan

    @cached_property
    def _plan(self) -> Plan:
        return self._made_plan()

    def _made_plan(self) -> Plan:
        if self.rules:
            return compile_plan(parse_rules(self.rules), self.header, self.definitions)
        return plain_plan(self.fields)

    def as_json(self) -> dict[str, Any]:
        """All of it but what is as in most files: the release before reads those as well."""
        later = Layout("", 0, "", [], {}, 0, 0)
        names = [part.name for part in fields(self)]
        given = {name: getattr(self, name) for name in names}
        return {
            name: value
            for place, (name, value) in enumerate(given.items())
            if place < names.index("rules") or value != getattr(later, name)
        }


def open_text(file: BinaryIO, encoding: str, mark_size: int) -> Readable:
    """The file's text as bytes that split into lines at CR and LF, from its start."""
    file.seek(mark_size)
    return Transcoder(file, encoding) if is_transcoded(encoding) else file


def normalised(name: str) -> str:
    """A column's name without case, spaces, underscores and hyphens."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in text if not c.isspace() and c not in "_-\u2010\u2011\u200b\ufeff")


def field_of(key: str) -> str | None:
    """The product field that a normalised column name means."""
    return next((name for name, names in FIELD_NAMES.items() if key in names), None)


def fields_named(records: Iterable[Iterable[str]]) -> list[set[str]]:
    """The product fields that the names of columns in each of these records mean."""
    return [
        {name for key in map(normalised, names) if (name := field_of(key))} for names in records
    ]


def match_names(header: list[str]) -> tuple[dict[str, int], list[str]]:
    """Map fields to columns; the second value names the columns that are left out."""
    candidates: dict[str, list[int]] = {}
    ignored: list[str] = []
    for column, name in enumerate(header):
        if product_field := field_of(normalised(name)):
            candidates.setdefault(product_field, []).append(column)
        elif name and name not in (LINE_COLUMN, ERROR_COLUMN):
            ignored.append(name)
    fields: dict[str, int] = {}
    for product_field, columns in candidates.items():
        exact = [c for c in columns if normalised(header[c]) == product_field]
        chosen = exact or columns
        if len(chosen) > 1:
            places = " and ".join(f"column {c + 1} (“{header[c]}”)" for c in chosen)
            raise UnreadableFile(
                f"Two columns mean “{product_field}”: {places}. Rename or remove all but one."
            )
        fields[product_field] = chosen[0]
        ignored += [header[c] for c in columns if c not in chosen]
    warnings = []
    if ignored:
        names = ", ".join(f"“{name[:40]}”" for name in ignored[:20])
        more = f" and {len(ignored) - 20} more" if len(ignored) > 20 else ""
        warnings.append(f"Columns that the catalogue does not know were left out: {names}{more}.")
    if "name" not in fields:
        warnings.append(
            "The file has no name column: products that are in the catalogue are updated, "
            "new ones cannot be created."
        )
    return fields, warnings
