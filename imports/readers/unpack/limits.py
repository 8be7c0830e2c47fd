"""How much is unpacked, and the sentences that a file over a limit, or a damaged one, ends in."""

import io
from typing import BinaryIO, Protocol

from imports.readers.csv import UnreadableFile

MEMORY = 600_000_000  # bytes of address space of the child; a full sheet of 1 million rows has less
SECONDS = 900  # of the child
TABLE_SIZE = 4 << 30  # bytes of an unpacked table, and of all parts of a workbook
RATIO = 200  # of what is unpacked to what was packed, where there are more bytes than
RATIO_FROM = 256 << 20  # (suppliers' tables pack 5 to 50 times; zeros pack 1,000 times)
MEMBERS = 1_000  # of an archive
SHEETS = 250
BLOCK = 1 << 20  # bytes

TOO_LARGE = (
    "The file is larger unpacked than is taken: at most 4 GB, and at most 200 times as many bytes "
    "as it has packed. Split it, or upload it unpacked."
)
TOO_MUCH_MEMORY = (
    "The workbook is too large to be opened: it takes more than 600 MB of memory. Save the sheet "
    "as “CSV UTF-8” and upload that; a CSV may be as large as 1 GB."
)
TOO_LONG = (
    "Unpacking the file took longer than 15 minutes and was stopped. Save the table as “CSV UTF-8” "
    "and upload that."
)
LOCKED = (
    "The file is protected with a password. Save it without one (in Excel: File, Info, Protect "
    "Workbook, Encrypt with Password, and leave it blank) and upload it again."
)
DAMAGED = (
    "The file is damaged or was cut off: {what} cannot be read to the end. Download it once more, "
    "or open it in the program it comes from and save it as CSV, and upload that."
)


class Sink(Protocol):
    """What bytes can be written to."""

    def write(self, data: bytes, /) -> int: ...


class Output:
    """A file that is written up to the limit for ``packed`` bytes.

    Raises ``UnreadableFile`` beyond it.
    """

    def __init__(self, file: BinaryIO, packed: int) -> None:
        self.file = file
        self.size = 0
        self.limit = most(packed)

    def write(self, data: bytes) -> int:
        self.size += len(data)
        if self.size > self.limit:
            raise UnreadableFile(TOO_LARGE)
        return self.file.write(data)


def most(packed: int) -> int:
    """How many bytes may come out of so many packed ones."""
    return min(TABLE_SIZE, max(RATIO_FROM, RATIO * packed))


def size_of(file: BinaryIO) -> int:
    """The bytes of a file, whose position stays."""
    position = file.tell()
    size = file.seek(0, io.SEEK_END)
    file.seek(position)
    return size
