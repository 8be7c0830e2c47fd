"""A supplier with a format, and the files that it sends."""

from typing import Any

from imports.models import Format
from imports.operations import suppliers

HEADER = "sku,name,price\n"
COLUMNS = [{"column": name, "field": name} for name in ("sku", "name", "price")]


def make_format(supplier: str, *, usual: dict[str, Any] | None = None, **values: Any) -> Format:
    """A format for full lists of a new supplier, of whose stop rules only ``usual`` are on."""
    made = suppliers.create_supplier(name=supplier, user=None)
    off = {**dict.fromkeys(suppliers.STOP_RULES), "stop_columns": False}
    suppliers.change_settings(supplier_id=made.pk, user=None, **{**off, **(usual or {})})
    return suppliers.create_format(
        supplier_id=made.pk,
        name="List",
        user=None,
        **{"rules": {"columns": COLUMNS}, "full_list": True, **values},
    )


def records(count: int, *, price: int = 100, first: int = 0, word: str = "P") -> str:
    """So many records, with SKUs from ``word-000`` on."""
    return "".join(f"{word}-{first + n:03d},Thing {first + n},{price}\n" for n in range(count))
