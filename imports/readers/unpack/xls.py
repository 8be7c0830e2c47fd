"""The cells of an .xls that the library which reads it would lose.

It leaves error cells blank, and of the number 17 that is shown as 00017 it gives 17.

[MS-CFB] 2.2 to 2.6 is the container, [MS-XLS] 2.1.4 the records in its stream “Workbook”.
"""

import struct
from collections import defaultdict
from typing import BinaryIO

from imports.readers.unpack.shapes import in_shape, shape_of

# Sheet (from 0) -> row -> column -> name of the error, or the number as it is shown
Texts = dict[int, dict[int, dict[int, str]]]

NAMES = {
    0: "#NULL!",
    7: "#DIV/0!",
    15: "#VALUE!",
    23: "#REF!",
    29: "#NAME?",
    36: "#NUM!",
    42: "#N/A",
}
UNKNOWN = "#ERROR!"

_BEGIN, _SHEET, _BOOL_OR_ERROR, _FORMULAS = 0x809, 0x85, 0x205, (0x6, 0x206, 0x406)
_FORMAT, _STYLE, _NUMBER, _PACKED, _PACKED_ROW = 0x41E, 0xE0, 0x203, 0x27E, 0xBD
_SMALL = 4096  # bytes; smaller streams are elsewhere, and no program writes a workbook so small


def texts_of(file: BinaryIO) -> Texts:
    """Every such cell. Nothing where the container cannot be followed."""
    try:
        return _Cells(_stream(file)).found
    except (struct.error, IndexError):
        return {}  # damaged: the library says so


def _stream(file: BinaryIO) -> bytes:
    file.seek(0)
    data = file.read()
    (shift,) = struct.unpack_from("<H", data, 30)
    size = 1 << min(shift, 16)

    def sector(number: int) -> bytes:
        return data[(number + 1) * size : (number + 2) * size]

    (first_folder,) = struct.unpack_from("<I", data, 48)
    places = list(struct.unpack_from("<109I", data, 76))
    more, count = struct.unpack_from("<II", data, 68)
    for _ in range(min(count, len(data) // size)):
        *places_there, more = struct.unpack(f"<{size // 4}I", sector(more))
        places += places_there
    table = b"".join(sector(place) for place in places if place < 0xFFFFFFFA)
    chain = struct.unpack(f"<{len(table) // 4}I", table)

    def follow(number: int) -> bytes:
        sectors: list[bytes] = []
        while number < 0xFFFFFFFA and len(sectors) <= len(chain):
            sectors.append(sector(number))
            number = chain[number]
        return b"".join(sectors)

    folder = follow(first_folder)
    for place in range(0, len(folder) - 127, 128):
        length, start, length_of = (
            struct.unpack_from("<H", folder, place + 64)[0],
            *struct.unpack_from("<II", folder, place + 116),
        )
        name = folder[place : place + max(0, length - 2)].decode("utf-16-le", "replace")
        if name in ("Workbook", "Book") and length_of >= _SMALL:
            return follow(start)[:length_of]
    return b""


class _Cells:
    """What is found in the records of a workbook's stream."""

    def __init__(self, stream: bytes) -> None:
        self.stream = stream
        self.found: Texts = defaultdict(lambda: defaultdict(dict))
        self.codes: dict[int, str] = {}  # of number formats
        self.shapes: list[list[str]] = []  # of cells' formats, by their number
        self.has_shapes = False
        self.sheets: list[int] = []  # where the records of each begin
        self.sheet = -1
        position = 0
        while position + 4 <= len(stream):
            number, size = struct.unpack_from("<HH", stream, position)
            if number == _BEGIN and position in self.sheets:
                self.sheet = self.sheets.index(position)
            elif self.sheet < 0:
                self._take_of_workbook(number, position + 4, size)
            else:
                self._take_of_sheet(number, position + 4, size)
            position += 4 + size

    def _take_of_workbook(self, number: int, body: int, size: int) -> None:
        if number == _SHEET and size >= 8:
            self.sheets.append(struct.unpack_from("<I", self.stream, body)[0])
        elif number == _FORMAT and size >= 5:
            self.codes.update([_format(self.stream[body : body + size])])
        elif number == _STYLE and size >= 4:
            (code,) = struct.unpack_from("<H", self.stream, body + 2)
            self.shapes.append(shape_of(self.codes.get(code, "")))
            self.has_shapes |= bool(self.shapes[-1])

    def _take_of_sheet(self, number: int, body: int, size: int) -> None:
        stream = self.stream
        if number == _BOOL_OR_ERROR and size >= 8:
            row, column, _, code, is_error = struct.unpack_from("<HHHBB", stream, body)
            if is_error:
                self.found[self.sheet][row][column] = NAMES.get(code, UNKNOWN)
        elif number in _FORMULAS and size >= 14:
            if stream[body + 12 : body + 14] != b"\xff\xff":
                self._take_number(*struct.unpack_from("<HHHd", stream, body))
            elif stream[body + 6] == 2:
                row, column = struct.unpack_from("<HH", stream, body)
                self.found[self.sheet][row][column] = NAMES.get(stream[body + 8], UNKNOWN)
        elif not self.has_shapes:
            return
        elif number == _NUMBER and size >= 14:
            self._take_number(*struct.unpack_from("<HHHd", stream, body))
        elif number == _PACKED and size >= 10:
            row, column, style, packed = struct.unpack_from("<HHHI", stream, body)
            self._take_number(row, column, style, _unpacked(packed))
        elif number == _PACKED_ROW:
            row, first = struct.unpack_from("<HH", stream, body)
            cells = struct.iter_unpack("<HI", stream[body + 4 : body + 4 + (size - 6) // 6 * 6])
            for column, (style, packed) in enumerate(cells, first):
                self._take_number(row, column, style, _unpacked(packed))

    def _take_number(self, row: int, column: int, style: int, value: float) -> None:
        shape = self.shapes[style] if style < len(self.shapes) else []
        if shape and value.is_integer() and 0 <= value < 10**15:
            self.found[self.sheet][row][column] = in_shape(str(int(value)), shape)


def _format(body: bytes) -> tuple[int, str]:
    """Number and code of a number format ([MS-XLS] 2.4.126)."""
    number, length, flags = struct.unpack_from("<HHB", body)
    text = body[5 : 5 + length * (1 + (flags & 1))]
    return number, text.decode("utf-16-le" if flags & 1 else "latin-1", "replace")


def _unpacked(packed: int) -> float:
    """A number of four bytes ([MS-XLS] 2.5.217)."""
    if packed & 2:
        value = float((packed - (1 << 32) if packed & 1 << 31 else packed) >> 2)
    else:
        (value,) = struct.unpack("<d", struct.pack("<II", 0, packed & ~3))
    return value / 100 if packed & 1 else value
