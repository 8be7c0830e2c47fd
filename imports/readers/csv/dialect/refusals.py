"""Files that are no table of text, told by what they are."""

from collections.abc import Iterable
from typing import BinaryIO

from imports.readers.csv.header import UnreadableFile

_BINARY_STARTS = {
    b"PK\x03\x04": "an Excel workbook or a ZIP archive",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"\x1f\x8b": "a gzip archive",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"SQLite format 3": "a database",
}
_NOTHING = b" \t\r\n,;|\"'\x1a\xef\xbb\xbf"


def count_filled(lines: Iterable[bytes]) -> int:
    """How many lines have more than blanks, separators and quotes."""
    return sum(bool(line.strip(_NOTHING)) for line in lines)


def refuse_what_is_no_table(file: BinaryIO, mark_size: int, lines: list[bytes]) -> None:
    """Raise ``UnreadableFile`` for what is no CSV; ``lines`` are its first ones."""
    if not count_filled(lines):
        separators = any(line.strip(b" \r\n\xef\xbb\xbf") for line in lines)
        raise UnreadableFile(
            "The file is empty"
            + (": its rows have separators, but nothing between them." if separators else ".")
            + " Choose a CSV file that names its columns and has rows below them."
        )
    file.seek(0)
    start = file.read(64)
    for magic, kind in _BINARY_STARTS.items():
        if start.startswith(magic):
            raise UnreadableFile(
                f"The file is {kind}, not a CSV. Open it in the program it comes from and "
                "save it as CSV."
            )
    first = b"".join(lines)[:4096].lstrip(b" \t\r\n\xef\xbb\xbf").lower()
    if first.startswith((b"<table", b"<meta", b"<html xmlns:", b"<style")):
        raise UnreadableFile(
            "The file is a table of a web page (HTML), as some programs write for Excel, not a "
            "CSV. Open it in Excel and save it as “CSV UTF-8”."
        )
    if first.startswith((b"<!doctype", b"<html", b"<?xml")):
        raise UnreadableFile(
            "The file is a web page, not a CSV. Perhaps the download link led to a login "
            "page: download the file again."
        )
    if first.startswith((b"[{", b'{"')) or first.split()[:1] in ([b"["], [b"{"]):
        raise UnreadableFile("The file is JSON, not a CSV. Export it as CSV.")
    if mark_size == 0 and b"\0" in lines[0]:
        raise UnreadableFile(
            "The file is not text: it has NUL bytes in its first line. Save it as “CSV UTF-8”."
        )
