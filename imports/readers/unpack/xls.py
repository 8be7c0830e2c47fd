"""The error cells of an .xls, which the library that reads it leaves blank.

[MS-CFB] 2.2 to 2.6 is the container, [MS-XLS] 2.1.4 the records in its stream “Workbook”.
"""

import struct
from collections import defaultdict
from typing import BinaryIO

# Sheet (from 0) -> row -> column -> name of the error
Errors = dict[int, dict[int, dict[int, str]]]

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
_SMALL = 4096  # bytes; smaller streams are elsewhere, and no program writes a workbook so small


def errors_of(file: BinaryIO) -> Errors:
    """Every error cell. Nothing where the container cannot be followed."""
    try:
        return _errors(_stream(file))
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


def _errors(stream: bytes) -> Errors:
    found: Errors = defaultdict(lambda: defaultdict(dict))
    sheets: list[int] = []  # where the records of each begin
    sheet = -1
    position = 0
    while position + 4 <= len(stream):
        number, size = struct.unpack_from("<HH", stream, position)
        body = position + 4
        if number == _BOOL_OR_ERROR and size >= 8:
            row, column, _, code, is_error = struct.unpack_from("<HHHBB", stream, body)
            if is_error:
                found[sheet][row][column] = NAMES.get(code, UNKNOWN)
        elif number in _FORMULAS and size >= 14:
            if stream[body + 6] == 2 and stream[body + 12 : body + 14] == b"\xff\xff":
                row, column = struct.unpack_from("<HH", stream, body)
                found[sheet][row][column] = NAMES.get(stream[body + 8], UNKNOWN)
        elif number == _SHEET and size >= 8:
            sheets.append(struct.unpack_from("<I", stream, body)[0])
        elif number == _BEGIN and position in sheets:
            sheet = sheets.index(position)
        position = body + size
    return found
