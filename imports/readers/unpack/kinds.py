"""What a file is, by its first bytes: its name and its extension decide nothing."""

import re
from enum import StrEnum

HEAD_SIZE = 4096  # bytes that are enough to tell


class Kind(StrEnum):
    """``TEXT`` is read as it is, the others are unpacked, or refused by name."""

    TEXT = ""
    GZIP = "gzip"
    ZIP = "zip"  # an archive, or a workbook of today's kinds: its members tell
    OLE = "ole"  # a workbook of Excel 97 to 2003, or an encrypted one
    HTML = "html"
    # Inside a ZIP
    XLSX = "xlsx"  # .xlsm too
    XLSB = "xlsb"
    ODS = "ods"
    XLS = "xls"
    FOREIGN = "foreign"


_PACKED = {
    b"PK\x03\x04": Kind.ZIP,
    b"PK\x05\x06": Kind.ZIP,  # an empty one
    b"PK\x07\x08": Kind.ZIP,  # one that was split
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": Kind.OLE,
    b"\x1f\x8b": Kind.GZIP,
}
_FOREIGN_ARCHIVES = {
    b"7z\xbc\xaf\x27\x1c": "a 7-Zip archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ\0": "an xz archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard archive",
    b"\x1f\x9d": "an archive of compress (.Z)",
    b"\x04\x22\x4d\x18": "an LZ4 archive",
    b"MSCF\0\0\0\0": "a Windows cabinet",
}
_FOREIGN = {
    **_FOREIGN_ARCHIVES,
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"SQLite format 3": "a database",
    b"{\\rtf": "a text document",
    b"PAR1\x15": "a Parquet file",
    b"Obj\x01": "an Avro file",
    b"\x89HDF": "an HDF5 file",
    b"MZ\x90\0": "a program",
    b"\x7fELF": "a program",
    b"MIME-Version: ": "a web archive (.mht)",
}
# Those whose mark is not at the beginning: where it is.
_ARCHIVES_INSIDE = {(257, b"ustar"): "a tar archive", (2, b"-lh"): "an LHA archive"}
_INSIDE = {
    **_ARCHIVES_INSIDE,
    (4, b"ftyp"): "a picture or a video",
    (8, b"WEBP"): "a picture",
}
# Those of them that may hold a table: unpacked, it can be read.
FOREIGN_ARCHIVES = frozenset((*_FOREIGN_ARCHIVES.values(), *_ARCHIVES_INSIDE.values()))
# A tag, and another one right behind it or on the next line: a header of <names> has delimiters.
_is_xml = re.compile(r"<[a-z_][\w:.-]*(?:\s+[\w:.-]+\s*=[^<>]*)?>(?:\s*[\r\n]\s*)?<[/!?a-z]").match
_is_sylk = re.compile(r"id;p[^\r\n]*(?:[\r\n]+[bcfpo];[a-z][^\r\n]*){2}").match
_SQL = ("insert into ", "create table ", "-- mysql dump", "-- postgresql database dump")
_PAGE_STARTS = (
    *("<!doctype html", "<html", "<table", "<head", "<meta", "<body", "<style", "<div", "<center"),
)
_XML_OF_2003 = "urn:schemas-microsoft-com:office:spreadsheet"  # its tables are no page's
_MARKS = {b"\xef\xbb\xbf": "utf-8", b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}


def kind_of(head: bytes) -> Kind:
    """The kind of a file that begins with these bytes (``HEAD_SIZE`` of them, or all)."""
    for magic, kind in _PACKED.items():
        if head.startswith(magic):
            return kind
    if foreign_name(head):
        return Kind.FOREIGN
    return Kind.HTML if _is_page(_beginning(head)) else Kind.TEXT


def foreign_name(head: bytes) -> str:
    """What a file is that holds no table which could be read; blank for all others."""
    for magic, name in _FOREIGN.items():
        # "BZh" could begin a column's name; bzip2 goes on with a digit and a block's mark.
        if head.startswith(magic) and (magic != b"BZh" or head[4:10] == b"1AY&SY"):
            return name
    for (place, magic), name in _INSIDE.items():
        if head[place : place + len(magic)] == magic and (place != 2 or head[6:7] == b"-"):
            return name
    text = _beginning(head)
    if _is_sylk(text):
        return "a SYLK file"
    if text.startswith(_SQL):
        return "an SQL dump"
    if text.startswith("<?xml") and not _is_page(text):
        if _XML_OF_2003 in text:
            return "a workbook in Excel’s XML of 2003"
        return "an XML file"
    return "an XML file" if _is_xml(text) and not _is_page(text) else ""


def _is_page(text: str) -> bool:
    if text.startswith("<?xml"):
        return "<html" in text or ("<table" in text and _XML_OF_2003 not in text)
    if text.startswith("<!--"):
        text = text.partition("-->")[2].lstrip()
    return text.startswith(_PAGE_STARTS)


def _beginning(head: bytes) -> str:
    """The first text in small letters, for looking only."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return head[len(mark) :].decode(encoding, "replace").lstrip().lower()
    return head.decode("latin-1").lstrip().lower()
