"""How stored values are written for people."""

from decimal import Decimal
from typing import Any


def value_text(value: Any) -> str:
    """A stored value of a product: a price with separators, one word for active."""
    if value is None or value == "":
        return "none"
    if isinstance(value, bool):
        return "Active" if value else "Inactive"
    return f"{value:,.2f}" if isinstance(value, Decimal) else str(value)
