"""A workbook (.xlsx) as a stream: sent while it is made, in constant memory.

XlsxWriter makes the workbook with its header and formats, without rows; the rows are put into its
only sheet as they come. Made by it row by row they take four times as long, and none of the file
is there before all of it is: proxies give up on a download without a first byte (30 s).
"""

import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import Any

import xlsxwriter

ROWS_AT_MOST = 1_048_575  # below the header; a sheet has 1,048,576
_SHEET = "xl/worksheets/sheet1.xml"
_WIDTHS = {"long_text": 50, "text": 24, "link": 24, "image": 24}  # characters; others 14
_LEVEL = 2  # of deflate: twice as fast as the usual 6, and a tenth larger

_style = re.compile(r'<c r="[A-Z]+2" s="(\d+)"/>').findall
# XML 1.0 has no such characters, and reads CR as LF; a text that looks like such an escape is one
# (ECMA-376, 22.9.2.19).
_control = re.compile("[\x01-\x08\x0b-\x1f\ufffe\uffff]")
_looks_escaped = re.compile("_(?=x[0-9A-Fa-f]{4}_)")


class Workbook:
    """``names`` and ``types`` (``catalog.field_values``) are those of the columns.

    ``scales`` has the decimals of the numbers, by the column's place.
    """

    def __init__(self, names: Sequence[str], types: Sequence[str], scales: Sequence[int]) -> None:
        packed = BytesIO()
        with xlsxwriter.Workbook(packed, {"in_memory": True, "strings_to_formulas": False}) as book:
            sheet = book.add_worksheet("Products")
            bold = book.add_format({"bold": True, "num_format": "@"})
            sheet.freeze_panes(1, 0)
            for place, (name, type) in enumerate(zip(names, types, strict=True)):
                look = book.add_format({"num_format": _number_format(type, scales[place])})
                sheet.set_column(place, place, _WIDTHS.get(type, 14), look)
                sheet.write_string(0, place, name, bold)
                sheet.write_blank(1, place, None, look)  # tells the format's number
        self.parts = zipfile.ZipFile(packed)
        xml = self.parts.read(_SHEET).decode()
        self.styles = [int(number) for number in _style(xml)]
        xml = re.sub("<dimension[^>]*>", "", xml)  # not known yet, and may be left out
        self.head = re.sub('<row r="2".*?</row>.*', "", xml, flags=re.DOTALL)
        self.tail = xml[xml.index("</sheetData>") :]

    def pieces(self, rows: Iterable[str]) -> Iterator[bytes]:
        """The file, around pieces of XML that are rows from the second one on."""
        sink = _Sink()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as file:
            for part in self.parts.infolist():
                if part.filename != _SHEET:
                    file.writestr(part.filename, self.parts.read(part))
            with file.open(_SHEET, "w") as sheet:
                sheet.write(self.head.encode())
                for piece in rows:
                    sheet.write(_escaped(piece).encode())
                    if block := sink.taken():
                        yield block
                sheet.write(self.tail.encode())
        yield sink.taken()


def _number_format(type: str, scale: int) -> str:
    if type in ("decimal", "money"):
        return "0." + "0" * scale if scale else "0"
    return {"integer": "0", "date": "yyyy-mm-dd", "boolean": "General"}.get(type, "@")


def _escaped(xml: str) -> str:
    xml = _looks_escaped.sub("_x005F_", xml)
    return _control.sub(lambda found: f"_x{ord(found[0]):04X}_", xml)


class _Sink:
    """What a zip is written to, without going back; what has come is taken piece by piece."""

    def __init__(self) -> None:
        self.blocks: list[bytes] = []

    def write(self, block: Any) -> int:
        self.blocks.append(bytes(block))
        return len(block)

    def flush(self) -> None:
        """Nothing is kept back."""

    def close(self) -> None:
        """Nothing is open."""

    def taken(self) -> bytes:
        found = b"".join(self.blocks)
        self.blocks.clear()
        return found
