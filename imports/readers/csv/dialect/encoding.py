"""Which text encoding a file is in (docs/csv.md, "Encodings").

A byte order mark decides, and without one, where NUL bytes are in every second place, that is
UTF-16. Else the whole file is the evidence. One without a byte that UTF-8 does
not know is UTF-8. In any other, the valid UTF-8 sequences stand against the bytes that belong to
none: if they are as many at least, it is UTF-8 with damaged records, which the reader refuses one
by one. Else it is Windows-1252 where that reads as text (``charset``), and a question where not.
"""

import codecs
from dataclasses import dataclass
from typing import BinaryIO

from imports.readers.csv.dialect import charset

BLOCK = 1 << 20

# The longer marks first: UTF-32's begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Codecs of one byte a character in which ASCII is ASCII: such a file splits into lines as it is.
_SINGLE_BYTE = (
    *(f"cp{number}" for number in range(1250, 1259)),
    *("cp437", "cp850", "cp852", "cp866", "mac-roman", "koi8-r"),
    *("iso8859-1", "iso8859-2", "iso8859-5", "iso8859-7", "iso8859-9", "iso8859-15"),
)
_MULTI_BYTE = ("cp932", "gb18030", "big5hkscs", "euc_jp", "euc_kr")
_UNICODE = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
# What people call them, where Python means something narrower or has no such name.
_OTHER_NAMES = {"shift_jis": "cp932", "sjis": "cp932", "ascii": "utf-8", "macroman": "mac-roman"}
_OTHER_NAMES |= dict.fromkeys(("gbk", "gb2312", "cp936"), "gb18030") | {"big5": "big5hkscs"}

_LOOKED_AT = 1 << 12  # bytes, an even number, that tell UTF-16
_CLEAN_ENOUGH = 256  # bytes beyond the first of valid sequences, and none that is not valid
_SHOWN_LINES = 1 << 16  # bytes of lines beyond ASCII that are kept to look at
_ASCII = bytes(range(128))


@dataclass(frozen=True)
class Encoding:
    """A codec's name and how many bytes of byte order mark stand before the text.

    ``doubtful`` holds lines that are neither UTF-8 nor plausible Windows-1252; then the name is
    only the likeliest one.
    """

    name: str
    mark_size: int = 0
    doubtful: bytes = b""


def canonical(name: str) -> str:
    """The codec that an encoding's name means here; ``LookupError`` for one that is not read."""
    known = name.strip().lower().replace(" ", "-")
    known = _OTHER_NAMES.get(known.replace("-", "_"), known)
    found = codecs.lookup(known.replace("windows-", "cp")).name
    if found not in (*_SINGLE_BYTE, *_MULTI_BYTE, *_UNICODE):
        raise LookupError(f"{name} is no encoding that is read")
    return found


def named_encoding(file: BinaryIO, name: str) -> Encoding:
    """The encoding that somebody says a file is in, with its mark, if it has one.

    Raises ``LookupError`` for a name that is none.
    """
    codec = canonical(name)
    head = file.read(4)
    mark = next((found for found in _MARKS if head.startswith(found[0])), None)
    if mark and (mark[1].startswith(codec) or mark[1] == "utf-8"):
        return Encoding(mark[1] if mark[1].startswith(codec) else codec, len(mark[0]))
    return Encoding({"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(codec, codec))


def detect_encoding(file: BinaryIO) -> Encoding:
    """Decide on a file's encoding; reads it from where it stands, at most once through.

    Enough of valid UTF-8 without a fault before it settles it; so only a file that has next to
    nothing beyond ASCII, or that is not UTF-8, is read to its end.
    """
    block = file.read(BLOCK)
    for mark, name in _MARKS:
        if block.startswith(mark):
            return Encoding(name, len(mark))
    if b"\0" in block[:_LOOKED_AT] and (name := _utf_16_without_a_mark(block[:_LOOKED_AT])):
        return Encoding(name)
    clean = codecs.getincrementaldecoder("utf-8")()
    beyond = 0
    while block:
        pending = clean.getstate()[0]
        if pending or not block.isascii():
            try:
                beyond += len(block) - len(clean.decode(block))
            except UnicodeDecodeError:
                return _weigh(file, pending + block, beyond)
            if beyond >= _CLEAN_ENOUGH:
                return Encoding("utf-8")
        block = file.read(BLOCK)
    if pending := clean.getstate()[0]:  # it ends within a sequence
        return _weigh(file, pending, beyond)
    return Encoding("utf-8")


def _utf_16_without_a_mark(head: bytes) -> str:
    """The byte order of text in UTF-16, by where its NUL bytes are; blank for what is none.

    Delimiters, digits and line ends have one each, and it is always the same of two.
    """
    even, odd = head[::2], head[1::2]
    for name, high, low in (("utf-16-le", odd, even), ("utf-16-be", even, odd)):
        if high.count(0) * 4 >= len(high) and not low.count(0):
            return name
    return ""


def _weigh(file: BinaryIO, block: bytes, valid: int) -> Encoding:
    """Decide on a file from its first byte that is not UTF-8 on, to its end.

    ``valid`` is how many sequences there were before it, about.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("ignore")
    beyond_ascii = belonging = 0
    seen = bytearray()
    while block:
        text = decoder.decode(block)
        high = len(block.translate(None, _ASCII))
        beyond_ascii += high
        valid += len(text) - (len(block) - high)
        belonging += len(text.encode()) - (len(block) - high)
        if high and len(seen) < _SHOWN_LINES:
            lines = (line for line in block.splitlines(keepends=True) if not line.isascii())
            for line in lines:
                seen += line[:4096]
                if len(seen) >= _SHOWN_LINES:
                    break
        block = file.read(BLOCK)
    if valid >= beyond_ascii - belonging:
        return Encoding("utf-8")
    if charset.is_western(bytes(seen)):
        return Encoding("cp1252")
    return Encoding(canonical(charset.suggestions(bytes(seen))[0]), doubtful=bytes(seen))


def is_transcoded(encoding: str) -> bool:
    """Whether a file's bytes cannot be split into lines as they are."""
    return encoding in _MULTI_BYTE or encoding.startswith(("utf-16", "utf-32"))


def codec_of(encoding: str) -> str:
    """The encoding of the lines that are read of a file in this one."""
    return "utf-8" if is_transcoded(encoding) else encoding


# Never valid in UTF-8, whatever bytes stand around it.
codecs.register_error("importer.damaged", lambda error: ("\udcff", getattr(error, "end", 0)))


class Transcoder:
    """Reads a file whose characters take several bytes as UTF-8, for all that comes after.

    What is damaged there becomes bytes that are not valid UTF-8, so that the reader
    refuses just the records that hold it.
    """

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        multi_byte = encoding in _MULTI_BYTE
        self._out = "surrogateescape" if multi_byte else "surrogatepass"
        errors = "importer.damaged" if multi_byte else "surrogatepass"
        self._decoder = codecs.getincrementaldecoder(encoding)(errors)
        self._ready = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes of UTF-8; empty at the end."""
        while not self._ready and not self._ended:
            block = self._file.read(size)
            self._ended = not block
            try:
                text = self._decoder.decode(block, final=self._ended)
                self._ready = text.encode("utf-8", self._out)
            except UnicodeDecodeError:
                # Half a character: the file was cut off, or its bytes are no text at all.
                self._decoder.reset()
                self._ready = b"\xff"
        part, self._ready = self._ready[:size], self._ready[size:]
        return part
