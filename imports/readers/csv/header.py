"""The head of a file: its encoding, its delimiter, and which column is which field."""

import csv
import unicodedata
from dataclasses import asdict, dataclass, field
from typing import Any, BinaryIO

from imports.mapping.rules import parse_rules
from imports.mapping.values import Plan, compile_plan, plain_plan
from imports.readers.csv.cells import unguarded
from imports.readers.csv.encoding import Encoding, Transcoder, detect_encoding
from imports.readers.csv.lines import RECORD_LIMIT, Readable, read_blocks

COLUMN_LIMIT = 500
DELIMITERS = (",", ";", "\t", "|")

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

_BINARY_STARTS = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "a database",
}


class UnreadableFile(Exception):
    """The file as a whole cannot be imported; the message tells its owner what to do."""


@dataclass(frozen=True)
class Layout:
    """What is fixed before the first record.

    ``fields`` maps a product field to its column (from 0); ``offset`` (bytes of UTF-8 or of
    the file's own single-byte text) and ``line`` tell where the records start. ``rules`` are the
    resolved ones (``imports.mapping.rules``) of a file that has some: ``fields`` then has each of
    their fields, with the column that it begins at (-1: a constant).
    """

    encoding: str
    mark_size: int
    delimiter: str
    header: list[str]
    fields: dict[str, int]
    offset: int
    line: int
    warnings: list[str] = field(default_factory=list)
    rules: dict[str, Any] = field(default_factory=dict)

    @property
    def codec(self) -> str:
        """The encoding of the lines that ``open_text`` gives."""
        return codec_of(self.encoding)

    @property
    def error_column(self) -> int | None:
        """Where ``rejects.csv`` keeps its reason, if this file is one."""
        return self.header.index(ERROR_COLUMN) if ERROR_COLUMN in self.header else None

    def plan(self) -> Plan:
        """How its records become values."""
        if self.rules:
            return compile_plan(parse_rules(self.rules), self.header)
        return plain_plan(self.fields)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def codec_of(encoding: str) -> str:
    """The encoding of the lines that ``open_text`` gives."""
    return "cp1252" if encoding == "cp1252" else "utf-8"


def open_text(file: BinaryIO, encoding: str, mark_size: int) -> Readable:
    """The file's text as bytes that split into lines at CR and LF, from its start."""
    file.seek(mark_size)
    if encoding.startswith("utf-16") or encoding.startswith("utf-32"):
        return Transcoder(file, encoding)
    return file


def inspect(file: BinaryIO) -> Layout:
    """Find out how to read a file.

    Raises ``UnreadableFile`` for one that cannot be imported at all: empty, no text, no SKU
    column, two columns for one field, too many columns.
    """
    file.seek(0)
    encoding = detect_encoding(file)
    lines, sizes = _first_lines(open_text(file, encoding.name, encoding.mark_size))
    _refuse_what_is_no_csv(file, encoding, lines)
    texts = [line.decode(codec_of(encoding.name), "replace") for line in lines]
    skip, declared = _declared_delimiter(texts)
    delimiter, header, used = _find_header(texts[skip:], declared)
    fields, warnings = _match(header)
    if encoding.name == "cp1252":
        warnings.insert(
            0,
            "The file is not UTF-8. It was read as Windows-1252: look at names with accents, "
            "and save the file as “CSV UTF-8” if they are wrong.",
        )
    return Layout(
        encoding=encoding.name,
        mark_size=encoding.mark_size,
        delimiter=delimiter,
        header=header,
        fields=fields,
        offset=sum(sizes[: skip + used]),
        line=skip + used,
        warnings=warnings,
    )


def _first_lines(text: Readable) -> tuple[list[bytes], list[int]]:
    """The lines of about the first ``RECORD_LIMIT`` bytes, where the header must stand."""
    lines: list[bytes] = []
    sizes: list[int] = []
    for block in read_blocks(text):
        for number, line in enumerate(block.lines):
            lines.append(line)
            sizes.append(block.overlong.get(number, len(line)))
        if sum(sizes) >= RECORD_LIMIT or any(line.strip() for line in lines):
            break
    return lines, sizes


def _refuse_what_is_no_csv(file: BinaryIO, encoding: Encoding, lines: list[bytes]) -> None:
    if not any(line.strip() for line in lines):
        raise UnreadableFile(
            "The file is empty. Choose a CSV file whose first line names the columns."
        )
    file.seek(0)
    start = file.read(64)
    for magic, kind in _BINARY_STARTS.items():
        if start.startswith(magic):
            raise UnreadableFile(
                f"The file is {kind}, not a CSV. Open it in the program it comes from and "
                "save it as CSV."
            )
    first = b"".join(lines)[:4096]
    if first.lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UnreadableFile(
            "The file is a web page, not a CSV. Perhaps the download link led to a login "
            "page: download the file again."
        )
    if encoding.mark_size == 0 and b"\0" in lines[0]:
        raise UnreadableFile(
            "The file is not text: it has NUL bytes in its first line. Save it as “CSV UTF-8”."
        )


def _declared_delimiter(texts: list[str]) -> tuple[int, str | None]:
    """Excel's ``sep=;`` on the first line: how many lines it takes, and the delimiter."""
    first = texts[0].strip().strip('"').lower()
    if first.startswith("sep=") and len(first) == 5:
        return 1, first[4]
    return 0, None


def _find_header(texts: list[str], declared: str | None) -> tuple[str, list[str], int]:
    """Return the delimiter under which the header matches best, the header, its lines."""
    best: tuple[int, str, list[str], int] | None = None
    for delimiter in (declared,) if declared else DELIMITERS:
        reader = csv.reader(texts, delimiter=delimiter)
        try:
            first = next((row for row in reader if any(cell.strip() for cell in row)), [])
        except csv.Error:  # a name longer than a record may be
            continue
        header = [unguarded(name.strip()) for name in first]
        matched = {field_of(normalised(name)) for name in header} - {None}
        if "sku" in matched and (best is None or len(matched) > best[0]):
            best = (len(matched), delimiter, header, reader.line_num)
    if best is None:
        # Nothing matched: show the columns under the delimiter that gives the most of them.
        delimiter = max(DELIMITERS, key=lambda d: texts[0].count(d))
        header = next(csv.reader([texts[0][:RECORD_LIMIT]], delimiter=delimiter), [])
        found = ", ".join(f"“{name.strip()[:40]}”" for name in header[:20])
        raise UnreadableFile(
            "The file has no SKU column. Its first line must name the columns, and one of them "
            f"must be “sku”. Columns found: {found}."
        )
    _, delimiter, header, used = best
    if len(header) > COLUMN_LIMIT:
        raise UnreadableFile(
            f"The file has {len(header):,} columns; at most {COLUMN_LIMIT} are allowed. "
            "Remove the columns that are not needed."
        )
    return delimiter, header, used


def normalised(name: str) -> str:
    """A column's name without case, spaces, underscores and hyphens."""
    text = unicodedata.normalize("NFKC", name).casefold()
    return "".join(c for c in text if not c.isspace() and c not in "_-\u2010\u2011\u200b\ufeff")


def field_of(key: str) -> str | None:
    """The product field that a normalised column name means."""
    return next((name for name, names in FIELD_NAMES.items() if key in names), None)


def _match(header: list[str]) -> tuple[dict[str, int], list[str]]:
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
