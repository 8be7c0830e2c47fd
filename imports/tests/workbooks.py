"""Makers of workbooks and archives for tests, byte by byte where no library writes the kind."""

import io
import struct
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psutil
import xlsxwriter

Rows = Sequence[Sequence[Any]]
TABLE: Rows = [
    ["sku", "name", "price", "active"],
    ["A-1", "Lamp", 12.5, True],
    ["A-2", "Bed", 3, 0],
]


def unpackers() -> list[psutil.Process]:
    """The processes that unpack something for this one."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):  # one that has ended, and waits to be seen
            if "imports.readers.unpack.child" in child.cmdline():
                found.append(child)
    return found


def zipped(members: dict[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def xlsx(sheets: dict[str, Rows] | None = None) -> bytes:
    """A workbook as Excel writes it."""
    buffer = io.BytesIO()
    with xlsxwriter.Workbook(buffer, {"in_memory": True}) as book:
        for name, rows in ({"Products": TABLE} if sheets is None else sheets).items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
    return buffer.getvalue()


# --- OpenDocument ---------------------------------------------------------------------

_ODS = (
    '<?xml version="1.0"?><office:document-content '
    'xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0" '
    'xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0" '
    'xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0" '
    'xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0">'
    '<office:body><office:spreadsheet><table:table table:name="One">{}</table:table>'
    "</office:spreadsheet></office:body></office:document-content>"
)


def ods_cell(text: str, attributes: str = 'office:value-type="string"') -> str:
    return f"<table:table-cell {attributes}><text:p>{text}</text:p></table:table-cell>"


def ods(rows: Sequence[Sequence[str]], *, manifest: str = "") -> bytes:
    """An OpenDocument spreadsheet of these cells (``ods_cell``)."""
    body = "".join(f"<table:table-row>{''.join(row)}</table:table-row>" for row in rows)
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
            "META-INF/manifest.xml": "<manifest:manifest xmlns:manifest="
            f'"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">{manifest}</manifest:manifest>',
            "content.xml": _ODS.format(body),
        }
    )


# --- .xlsb: [MS-XLSB] -----------------------------------------------------------------


def xlsb(records: Sequence[bytes]) -> bytes:
    """A binary workbook with one sheet of these records (``xlsb_row`` and cells)."""
    relations = (
        '<?xml version="1.0"?><Relationships xmlns='
        '"http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" '
        'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{}" '
        'Target="{}"/></Relationships>'
    )
    sheet = struct.pack("<II", 0, 1) + _wide("rId1") + _wide("One")
    dimensions = struct.pack("<IIII", 0, 9, 0, 9)
    return zipped(
        {
            "[Content_Types].xml": '<?xml version="1.0"?><Types xmlns='
            '"http://schemas.openxmlformats.org/package/2006/content-types"/>',
            "_rels/.rels": relations.format("officeDocument", "xl/workbook.bin"),
            "xl/_rels/workbook.bin.rels": relations.format("worksheet", "worksheets/sheet1.bin"),
            "xl/workbook.bin": _xlsb_record(131)
            + _xlsb_record(143)
            + _xlsb_record(156, sheet)
            + _xlsb_record(144)
            + _xlsb_record(132),
            "xl/worksheets/sheet1.bin": _xlsb_record(129)
            + _xlsb_record(148, dimensions)
            + _xlsb_record(145)
            + b"".join(records)
            + _xlsb_record(146)
            + _xlsb_record(130),
        }
    )


def xlsb_row(number: int) -> bytes:
    return _xlsb_record(0, struct.pack("<I", number) + bytes(13))


def xlsb_text(column: int, text: str) -> bytes:
    return _xlsb_record(6, struct.pack("<II", column, 0) + _wide(text))


def xlsb_number(column: int, value: float) -> bytes:
    return _xlsb_record(5, struct.pack("<IId", column, 0, value))


def xlsb_error(column: int, code: int) -> bytes:
    return _xlsb_record(3, struct.pack("<IIB", column, 0, code))


def _xlsb_record(number: int, body: bytes = b"") -> bytes:
    identity = bytes((number,)) if number < 128 else bytes((number & 0x7F | 0x80, number >> 7))
    return identity + bytes((len(body),)) + body


def _wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


# --- .xls: [MS-XLS], and the container that it is in, [MS-CFB] ------------------------


def xls(cells: Sequence[bytes], *, encrypted: bool = False, formats: Sequence[str] = ()) -> bytes:
    """A workbook of Excel 97 with one sheet of these cells (``xls_text`` and others).

    Style 0 is the general one, 1 and on have these number formats.
    """
    begin = _xls_record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0))
    if encrypted:
        begin += _xls_record(0x2F, struct.pack("<H", 1) + bytes(52))
    for number, code in enumerate(formats, 164):
        text = struct.pack("<HHB", number, len(code), 0) + code.encode("latin-1")
        begin += _xls_record(0x41E, text)
    for number in (0, *range(164, 164 + len(formats))):
        begin += _xls_record(0xE0, struct.pack("<HH16x", 0, number)) if formats else b""
    end = _xls_record(0x0A, b"")
    size = len(begin) + 4 + 8 + len("One") + len(end)
    sheet = _xls_record(0x85, struct.pack("<IBBBB", size, 0, 0, 3, 0) + b"One")
    inner = _xls_record(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 0))
    return container("Workbook", begin + sheet + end + inner + b"".join(cells) + end)


def xls_text(row: int, column: int, text: str) -> bytes:
    head = struct.pack("<HHHHB", row, column, 0, len(text), 0)
    return _xls_record(0x204, head + text.encode("latin-1"))


def xls_number(row: int, column: int, value: float, style: int = 0) -> bytes:
    return _xls_record(0x203, struct.pack("<HHHd", row, column, style, value))


def xls_packed(row: int, column: int, value: int, style: int) -> bytes:
    return _xls_record(0x27E, struct.pack("<HHHI", row, column, style, value << 2 | 2))


def xls_packed_row(row: int, column: int, values: Sequence[int], style: int) -> bytes:
    cells = b"".join(struct.pack("<HI", style, value << 2 | 2) for value in values)
    last = struct.pack("<H", column + len(values) - 1)
    return _xls_record(0xBD, struct.pack("<HH", row, column) + cells + last)


def xls_error(row: int, column: int, code: int) -> bytes:
    return _xls_record(0x205, struct.pack("<HHHBB", row, column, 0, code, 1))


def xls_formula_error(row: int, column: int, code: int) -> bytes:
    result = bytes((2, 0, code, 0, 0, 0, 0xFF, 0xFF))
    rest = struct.pack("<HIHB", 0, 0, 2, 0x1C) + bytes((code,))
    return _xls_record(0x6, struct.pack("<HHH", row, column, 0) + result + rest)


def _xls_record(number: int, body: bytes) -> bytes:
    return struct.pack("<HH", number, len(body)) + body


def container(name: str, stream: bytes) -> bytes:
    """A compound file with one stream."""
    stream = stream.ljust(max(4096, -(-len(stream) // 512) * 512), b"\0")
    sectors = len(stream) // 512
    table = [0xFFFFFFFD, 0xFFFFFFFE, *range(3, 2 + sectors), 0xFFFFFFFE]
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16)
    header += struct.pack("<HHHHH6x", 0x3E, 3, 0xFFFE, 9, 6)
    header += struct.pack("<IIIIIIIII", 0, 1, 1, 0, 4096, 0xFFFFFFFE, 0, 0xFFFFFFFE, 0)
    header += struct.pack("<109I", 0, *[0xFFFFFFFF] * 108)
    folder = _entry("Root Entry", 5, child=1) + _entry(name, 2, start=2, size=len(stream))
    return b"".join(
        (header, struct.pack("<128I", *table, *[0xFFFFFFFF] * (128 - len(table)))),
    ) + (folder.ljust(512, b"\0") + stream)


def _entry(
    name: str, kind: int, *, child: int = 0xFFFFFFFF, start: int = 0xFFFFFFFE, size: int = 0
) -> bytes:
    text = name.encode("utf-16-le")
    head = text.ljust(64, b"\0") + struct.pack("<HBB", len(text) + 2, kind, 1)
    head += struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, child)
    return head + bytes(36) + struct.pack("<IQ", start, size)
