"""Which rule of the products' table a statement was refused for."""

from psycopg import IntegrityError

SKU_INDEX = "catalog_product_sku_lower_key"


def violated(error: Exception) -> str:
    """The name of the constraint or unique index that a row broke; blank for any other error."""
    cause = error.__cause__
    return (cause.diag.constraint_name or "") if isinstance(cause, IntegrityError) else ""
