"""Cells of a workbook that the library which reads it would lose, made texts before.

Error cells (``#REF!``) would be blank, and the number 17 that is shown as 00017 would be 17. Where
a workbook has such cells, it is written anew with texts in their place.
"""

import re
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import IO, BinaryIO
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from imports.readers.csv import UnreadableFile
from imports.readers.unpack import archives, limits, xls
from imports.readers.unpack.kinds import Kind
from imports.readers.unpack.shapes import in_shape, shape_of

# A part in pieces, each with whether it was changed.
Pieces = Iterator[tuple[bytes, bool]]

_SHEETS = {
    Kind.XLSX: re.compile(r"xl/worksheets/[^/]+\.xml", re.I),
    Kind.XLSB: re.compile(r"xl/worksheets/[^/]+\.bin", re.I),
    Kind.ODS: re.compile(r"content\.xml"),
}


NOT_COMPUTED = (
    "The workbook has formulas that were never computed: their cells are blank. Open it in Excel "
    "or LibreOffice, save it, and upload it again."
)


def with_texts(file: BinaryIO, kind: Kind, scratch: BinaryIO) -> tuple[BinaryIO, list[str]]:
    """The workbook, or one in ``scratch`` whose lost values are texts; and warnings.

    Every sheet is unpacked here, and so checked, before anything else reads it: ``zipfile`` gives
    no more bytes than the archive tells of. Raises ``UnreadableFile``, ``zipfile.BadZipFile``.
    """
    warnings: list[str] = []
    with zipfile.ZipFile(file) as archive:
        change = _changes(archive, kind, warnings)
        sheets = [info for info in archive.infolist() if _SHEETS[kind].fullmatch(info.filename)]
        changed = {info.filename for info in sheets if _is_changed(archive, info, change)}
        if not changed:
            return file, warnings
        room = limits.most(limits.size_of(file))
        with zipfile.ZipFile(scratch, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target:
            for info in archive.infolist():
                if archives.PICTURE.match(info.filename):
                    continue
                with archive.open(info) as source, target.open(info.filename, "w") as sink:
                    pieces = change if info.filename in changed else _unchanged
                    for piece, _ in pieces(source):
                        sink.write(piece)
                        room -= len(piece)
                        if room < 0:
                            raise UnreadableFile(limits.TOO_LARGE)
    return scratch, warnings


def _is_changed(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, change: Callable[[IO[bytes]], Pieces]
) -> bool:
    """Reads a part to where it is changed, or to its end, where its sum is checked."""
    with archive.open(info) as stream:
        return any(changed for _, changed in change(stream))


def _changes(
    archive: zipfile.ZipFile, kind: Kind, warnings: list[str]
) -> Callable[[IO[bytes]], Pieces]:
    if kind == Kind.XLSB:
        return _xlsb_pieces
    if kind == Kind.ODS:
        return lambda stream: _xml_pieces(stream, _ods_texts)
    padded = _zero_padded_styles(archive)

    def texts(text: bytes) -> bytes:
        if not warnings and _NOT_COMPUTED.search(text):
            warnings.append(NOT_COMPUTED)
        return _xlsx_texts(text, padded)

    return lambda stream: _xml_pieces(stream, texts)


def _unchanged(stream: IO[bytes]) -> Pieces:
    while block := stream.read(limits.BLOCK):
        yield block, False


def _xml_pieces(stream: IO[bytes], texts: Callable[[bytes], bytes]) -> Pieces:
    """A part of XML, cut behind closing tags of cells."""
    rest = b""
    while block := stream.read(limits.BLOCK):
        data = rest + block
        cut = data.rfind(b"c>") + 2 if data.rfind(b"c>") >= 0 else data.rfind(b"cell>") + 5
        if cut < 5 and len(data) < 8 * limits.BLOCK:
            rest = data
            continue
        cut = cut if cut >= 5 else len(data)
        rest = data[cut:]
        new = texts(data[:cut])
        yield new, new != data[:cut]
    new = texts(rest)
    yield new, new != rest


# --- .xlsx: ECMA-376, part 1, 18.3.1.4 ------------------------------------------------

_XLSX_ERROR = re.compile(rb'(<(?:\w+:)?c\s(?:[^<>]*\s)?t=)"e"')
_NOT_COMPUTED = re.compile(
    rb"<(?:\w+:)?f(?:\s[^<>]*)?(?:/>|>[^<]*</(?:\w+:)?f>)\s*(?:<(?:\w+:)?v\s*(?:/>|></(?:\w+:)?v>)\s*)?"
    rb"</(?:\w+:)?c>"
)


def _xlsx_texts(text: bytes, padded: dict[bytes, list[str]]) -> bytes:
    """Error cells as texts; numbers in styles that show leading zeros as what is shown."""
    if b't="e"' in text:
        text = _XLSX_ERROR.sub(rb'\1"str"', text)
    if not padded:
        return text
    styles = b"|".join(padded)
    cell = re.compile(
        rb'<(\w+:)?c(?=\s)([^<>]*?)\ss="(' + styles + rb')"([^<>/]*)>'
        rb"((?:<(?:\w+:)?f[^<>]*/>|<(?:\w+:)?f[^<>]*>[^<]*</(?:\w+:)?f>)?)"
        rb"<((?:\w+:)?v)>(\d+)</"
    )

    def shown(match: re.Match[bytes]) -> bytes:
        prefix, before, style, behind, formula, value, digits = match.groups(b"")
        attributes = (before + behind).replace(b' t="n"', b"")
        if b" t=" in attributes:
            return match[0]  # the number of a shared text
        zeros = escape(in_shape(digits.decode(), padded[style])).encode()
        start = b"<" + prefix + b"c" + attributes + b' t="str">'
        return start + formula + b"<" + value + b">" + zeros + b"</"

    return cell.sub(shown, text)


def _zero_padded_styles(archive: zipfile.ZipFile) -> dict[bytes, list[str]]:
    """The cell styles whose format is nothing but zeros and fixed signs, with its shape."""
    try:
        with archive.open("xl/styles.xml") as part:
            root = ElementTree.parse(part).getroot()  # noqa: S314 (expat bounds what entities grow to, and the process has a limit)
    except (KeyError, ElementTree.ParseError):
        return {}
    codes = {
        node.get("numFmtId"): node.get("formatCode", "")
        for node in root.iter()
        if node.tag.endswith("}numFmt")
    }
    formats = next((node for node in root if node.tag.endswith("}cellXfs")), ())
    shapes = [shape_of(codes.get(style.get("numFmtId"), "")) for style in formats]
    return {str(number).encode(): shape for number, shape in enumerate(shapes) if shape}


# --- .ods: what LibreOffice writes ----------------------------------------------------

_ODS_ERROR = re.compile(rb'<table:table-cell\s[^<>]*calcext:value-type="error"[^<>]*>')
# A number whose text has a zero in front, or hyphens between its digits.
_ODS_SHAPE = re.compile(
    rb'(<table:table-cell\s[^<>]*office:value-type="float"[^<>]*>)'
    rb"(<text:p>((?:[A-Za-z]*[-(]?0[0-9()-]+)|[A-Za-z]*[0-9]+-[0-9-]+|[A-Za-z]+-[0-9-]+)</text:p>)"
)
_ODS_WHOLE = re.compile(rb'office:value="0*([0-9]+)"')
_ODS_VALUES = re.compile(rb'\s(?:office:(?:string-)?value(?:-type)?|calcext:value-type)="[^"]*"')


def _ods_texts(text: bytes) -> bytes:
    def as_text(cell: bytes) -> bytes:
        bare = _ODS_VALUES.sub(b"", cell)
        return bare.replace(b"table-cell", b'table-cell office:value-type="string"', 1)

    def as_shown(match: re.Match[bytes]) -> bytes:
        whole = _ODS_WHOLE.search(match[1])
        digits = re.sub(rb"[^0-9]", b"", match[3]).lstrip(b"0") or b"0"
        same = whole is not None and whole[1] == digits
        return as_text(match[1]) + match[2] if same else match[0]

    if b'"error"' in text:
        text = _ODS_ERROR.sub(lambda match: as_text(match[0]), text)
    return _ODS_SHAPE.sub(as_shown, text)


# --- .xlsb: [MS-XLSB] 2.1.4 and 2.4 ---------------------------------------------------

_CELL_ERROR, _CELL_TEXT, _FORMULA_ERROR = 3, 6, 11


def _xlsb_pieces(stream: IO[bytes]) -> Pieces:
    """The records of a sheet, error cells as cells with a text."""
    rest = b""
    while block := stream.read(limits.BLOCK):
        data = rest + block
        pieces: list[bytes] = []
        copied = position = 0
        while (record := _xlsb_record(data, position)) is not None:
            number, body, end = record
            if number in (_CELL_ERROR, _FORMULA_ERROR) and end - body >= 9:
                name = xls.NAMES.get(data[body + 8], xls.UNKNOWN).encode("utf-16-le")
                cell = data[body : body + 8] + struct.pack("<I", len(name) // 2) + name
                pieces += [data[copied:position], bytes((_CELL_TEXT, len(cell))), cell]
                copied = end
            position = end
        yield b"".join([*pieces, data[copied:position]]), bool(pieces)
        rest = data[position:]
    yield rest, False


def _xlsb_record(data: bytes, position: int) -> tuple[int, int, int] | None:
    """Number, beginning and end of the record at a position; ``None`` if it is not all there."""
    number, position = _varint(data, position, 2)
    size, body = _varint(data, position, 4)
    if size is None or number is None or body + size > len(data):
        return None
    return number, body, body + size


def _varint(data: bytes, position: int, limit: int) -> tuple[int | None, int]:
    """A number of up to so many bytes, seven bits in each, and where it ends."""
    value = 0
    for shift in range(limit):
        if position >= len(data):
            return None, position
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            break
    return value, position
