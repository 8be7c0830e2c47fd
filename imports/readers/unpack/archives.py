"""gzip and ZIP: the one table in an archive, as a stream of bytes.

No member's name ever becomes a path: what it holds goes to a file that is open already.
"""

import errno
import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO, cast

from imports.readers.csv import UnreadableFile
from imports.readers.unpack import limits
from imports.readers.unpack.kinds import Kind

# Suffixes of names, not kinds: which of several members is a table is asked for, where they
# leave it open, and the bytes of the one that is taken decide what it is.
_TABLES = (".csv", ".tsv", ".tab", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_OTHERS = re.compile(
    r"\.(jpe?g|png|gif|webp|svg|tiff?|bmp|pdf|docx?|rtf|md|html?|css|js|xsd|dtd|exe|dll|mp4|log)$"
)
# Parts of a workbook that hold no cell; one with a picture in each row has thousands.
PICTURE = re.compile(r"(xl/)?(media|drawings|printerSettings|Pictures|Thumbnails)/", re.I)
_ENCRYPTED = 0x1
_ZIP = "the Excel workbook or ZIP archive"  # which of them, its end would tell


class SeveralTables(Exception):
    """An archive holds more than one table: ``members`` are their names."""

    def __init__(self, members: list[str]) -> None:
        super().__init__(members)
        self.members = members


@contextmanager
def opened_gzip(file: BinaryIO) -> Iterator[IO[bytes]]:
    """What a gzip file holds. Raises ``UnreadableFile`` for a damaged one, also while reading."""
    file.seek(0)
    with damage_told("the gzip archive"), gzip.GzipFile(fileobj=file) as stream:
        yield cast(IO[bytes], stream)


@contextmanager
def opened_zip(file: BinaryIO) -> Iterator[zipfile.ZipFile]:
    """A ZIP archive with its list of members. Raises ``UnreadableFile``."""
    with damage_told(_ZIP), zipfile.ZipFile(file) as archive:
        yield archive


@contextmanager
def damage_told(what: str) -> Iterator[None]:
    """Tell of damage to an archive in a sentence."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, ValueError) as error:
        raise UnreadableFile(limits.DAMAGED.format(what=what)) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # an offset that is none
            raise
        raise UnreadableFile(limits.DAMAGED.format(what=what)) from error
    except NotImplementedError as error:  # Deflate64, of a very large one that Windows packed
        raise UnreadableFile(
            "The ZIP archive is packed in a way that cannot be read here. Pack it again with the "
            "usual method (Deflate), or upload the table itself."
        ) from error


def kind_of_zip(archive: zipfile.ZipFile) -> Kind:
    """A workbook, or an archive. Raises ``UnreadableFile`` for another program's document."""
    names = {name.replace("\\", "/").lstrip("/").lower() for name in archive.namelist()}
    if "[content_types].xml" in names:
        if any(name.endswith("workbook.xml") for name in names):
            return Kind.XLSX
        if any(name.endswith("workbook.bin") for name in names):
            return Kind.XLSB
        raise UnreadableFile(
            "The file is a document of Word or PowerPoint, not a table. Save the table as a "
            "workbook or as CSV."
        )
    if "index/document.iwa" in names or "index.zip" in names:
        raise UnreadableFile(
            "The file is a document of Apple Numbers. In Numbers, choose File, Export To, CSV or "
            "Excel, and upload that."
        )
    if "mimetype" in names and {"content.xml", "encrypted-package"} & names:
        if "encrypted-package" in names or b"encryption-data" in _manifest(archive):
            raise UnreadableFile(limits.LOCKED)
        if b"opendocument.spreadsheet" in archive.read("mimetype")[:200]:
            return Kind.ODS
        raise UnreadableFile(
            "The file is an OpenDocument, but not a spreadsheet. Save the table as .ods or as CSV."
        )
    return Kind.ZIP


def _manifest(archive: zipfile.ZipFile) -> bytes:
    try:
        return archive.read("META-INF/manifest.xml")
    except KeyError:
        return b""


def size_of_parts(archive: zipfile.ZipFile, packed: int) -> int:
    """The bytes of a workbook's parts but pictures. Raises ``UnreadableFile`` for too many."""
    parts = [info for info in archive.infolist() if not PICTURE.match(info.filename)]
    size = sum(info.file_size for info in parts)
    if size > limits.most(packed):
        raise UnreadableFile(limits.TOO_LARGE)
    return size


def tables_of(archive: zipfile.ZipFile) -> list[str]:
    """The names of the members that may be tables, in the archive's order.

    Raises ``UnreadableFile`` for an archive of too many members.
    """
    if len(archive.infolist()) > limits.MEMBERS:
        raise UnreadableFile(
            f"The ZIP archive has {len(archive.infolist()):,} members; at most "
            f"{limits.MEMBERS:,} are allowed. Pack only the table that is to be imported."
        )
    members = [
        info.filename
        for info in archive.infolist()
        if not info.is_dir() and info.file_size and not _is_clutter(info.filename)
    ]
    by_name = [name for name in members if name.lower().endswith(_TABLES)]
    return by_name or [name for name in members if not _OTHERS.search(name.lower())]


def _is_clutter(name: str) -> bool:
    """What file managers and editors leave beside files."""
    parts = re.split(r"[/\\]", name)
    last = parts[-1]
    return "__MACOSX" in parts or last.startswith((".", "~$")) or last.lower() == "thumbs.db"


@contextmanager
def opened_member(
    archive: zipfile.ZipFile, member: str, packed: int
) -> Iterator[tuple[str, IO[bytes]]]:
    """Name and bytes of one table of an archive; ``auto`` is the only one.

    Raises ``SeveralTables``, and ``UnreadableFile`` where there is none, no such one, one that
    is encrypted, or one that would be too large.
    """
    tables = tables_of(archive)
    if member == "auto":
        if not tables:
            raise UnreadableFile(
                "The ZIP archive holds no table. Pack a CSV or a workbook into it, or upload the "
                "table itself."
            )
        if len(tables) > 1:
            raise SeveralTables(tables)
        member = tables[0]
    try:
        info = archive.getinfo(member)
    except KeyError as error:
        listed = ", ".join(f"“{name[:80]}”" for name in tables[:20])
        raise UnreadableFile(
            f"The ZIP archive has no member “{member[:80]}”. It has: {listed}."
        ) from error
    if info.flag_bits & _ENCRYPTED:
        raise UnreadableFile(
            "The ZIP archive is protected with a password. Pack it again without one, or upload "
            "the table itself."
        )
    if info.file_size > limits.most(packed):
        raise UnreadableFile(limits.TOO_LARGE)
    with archive.open(info) as stream:
        yield member, stream
