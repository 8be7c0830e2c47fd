"""The rows of the catalogue: products, their fields, and the change sets of every write."""

from catalog.models.change_sets import BulkSlice, ChangeSet, UndoConflict
from catalog.models.exports import ExportFormat
from catalog.models.fields import Field
from catalog.models.personal import PersonSettings
from catalog.models.products import Change, Product, RemovedProduct
from catalog.models.search import BroughtBack, SearchEntry, SearchIndex, SortEntry

__all__ = [
    "BroughtBack",
    "BulkSlice",
    "Change",
    "ChangeSet",
    "ExportFormat",
    "Field",
    "PersonSettings",
    "Product",
    "RemovedProduct",
    "SearchEntry",
    "SearchIndex",
    "SortEntry",
    "UndoConflict",
]
