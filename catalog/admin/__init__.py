"""The catalogue in the admin. Every write goes through an operation, as on the pages."""

from catalog.admin import fields, products, records

__all__ = ["fields", "products", "records"]
