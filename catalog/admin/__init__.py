"""The catalogue in the admin. Every write goes through an operation, as on the pages."""

from catalog.admin import products, records

__all__ = ["products", "records"]
