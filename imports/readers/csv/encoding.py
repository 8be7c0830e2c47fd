"""Which text encoding a file is in (docs/csv.md, "Encodings").

A byte order mark decides; else the file is UTF-8. A file that is not valid UTF-8 and holds
no valid multi-byte sequence either is Windows-1252. One that holds both is UTF-8 with
damaged rows, which the reader refuses one by one.
"""

import codecs
import re
from dataclasses import dataclass
from typing import BinaryIO

BLOCK = 1 << 20

# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Well-formed UTF-8 sequences of more than one byte: the Unicode Standard, table 3-7.
_multi_byte = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]"
    rb"|\xe0[\xa0-\xbf][\x80-\xbf]"
    rb"|[\xe1-\xec\xee\xef][\x80-\xbf]{2}"
    rb"|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}"
    rb"|[\xf1-\xf3][\x80-\xbf]{3}"
    rb"|\xf4[\x80-\x8f][\x80-\xbf]{2}"
).search


@dataclass(frozen=True)
class Encoding:
    """A codec's name and how many bytes of byte order mark stand before the text."""

    name: str
    mark_size: int = 0


def detect_encoding(file: BinaryIO) -> Encoding:
    """Decide on a file's encoding; reads it from where it stands, at most once through.

    The first valid multi-byte sequence settles it, so only a file of pure ASCII or of
    Windows-1252 is read to its end.
    """
    head = file.read(BLOCK)
    for mark, name in _MARKS:
        if head.startswith(mark):
            return Encoding(name, len(mark))
    only_ascii = True
    tail = b""
    block = head
    while block:
        if not block.isascii():
            only_ascii = False
        if not only_ascii and _multi_byte(tail + block):
            return Encoding("utf-8")
        tail = block[-3:]  # a sequence of four bytes may straddle two blocks
        block = file.read(BLOCK)
    return Encoding("utf-8" if only_ascii else "cp1252")


class Transcoder:
    """Reads a UTF-16 or UTF-32 file as UTF-8, so that everything after it deals with bytes.

    What is damaged there becomes bytes that are not valid UTF-8, so that the reader
    refuses just the records that hold it.
    """

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
        self._ready = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes of UTF-8; empty at the end."""
        while not self._ready and not self._ended:
            block = self._file.read(size)
            self._ended = not block
            try:
                text = self._decoder.decode(block, final=self._ended)
                self._ready = text.encode("utf-8", "surrogatepass")
            except UnicodeDecodeError:
                # Half a character: the file was cut off, or its bytes are no text at all.
                self._decoder.reset()
                self._ready = b"\xff"
        part, self._ready = self._ready[:size], self._ready[size:]
        return part
