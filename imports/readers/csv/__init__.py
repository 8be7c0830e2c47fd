"""From the bytes of a supplier's CSV to rows for the catalogue. Pure Python, no Django.

dialect      encoding (charset: what else it may be), delimiter, quotes and header, by evidence
lines        bytes -> physical lines, in constant memory, and those as RFC 4180 has them
header       what is fixed before the first record, and which column is which product field
cells        one record's cells -> a row, or what is wrong with it
records      lines -> records -> rows and problems, from a checkpoint on
broken       why a record cannot be read, and how to mend it
"""

from imports.readers.csv.cells import Problem
from imports.readers.csv.dialect.finding import Dialect, find_dialect, inspect
from imports.readers.csv.header import Layout, UnreadableFile
from imports.readers.csv.records import Batch, Checkpoint, cells_of, read_batches

__all__ = [
    "Batch",
    "Checkpoint",
    "Dialect",
    "Layout",
    "Problem",
    "UnreadableFile",
    "cells_of",
    "find_dialect",
    "inspect",
    "read_batches",
]
