"""From an archive or a workbook to one table of text. Pure Python, no Django.

kinds      what a file is, by its first bytes
process    a process of its own for each file, watched and ended (``unpack``, ``peek``)
child      what runs there
archives   gzip and ZIP
workbooks  a sheet as CSV
cells      its values as people see them
shown      those that would be lost (xls: of an old workbook; shapes: by number formats)
pages      an HTML table
limits     how much is unpacked
"""

from imports.readers.csv import UnreadableFile
from imports.readers.unpack.kinds import HEAD_SIZE, Kind, kind_of
from imports.readers.unpack.process import NeedsChoice, Unpacked, peek, unpack

__all__ = [
    "HEAD_SIZE",
    "Kind",
    "NeedsChoice",
    "Unpacked",
    "UnreadableFile",
    "kind_of",
    "peek",
    "unpack",
]
