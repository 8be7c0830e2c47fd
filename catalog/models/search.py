"""The search index and what it is sorted by: tables that can be made anew."""

from django.db import models
from django.db.models.functions import Now

from catalog.values import NAME_MAX_LENGTH, PRICE_DECIMAL_PLACES, PRICE_MAX_DIGITS


class SearchIndex(models.Model):
    """What the search index covers: a single row, or none where there is no index.

    ``product``, ``change`` and ``brought_back`` are numbers of rows: all up to them are in it.
    This table and that of the entries are unlogged, so a crash of the server empties both: the
    index is then built anew (docs/decisions/0029-search-index.md).
    """

    product = models.BigIntegerField()
    change = models.BigIntegerField()
    brought_back = models.BigIntegerField()
    every_letter = models.BooleanField(help_text="false: only ASCII letters have trigrams")
    begun_at = models.DateTimeField()
    moved_at = models.DateTimeField(null=True)
    caught_up_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "search index"

    def __str__(self) -> str:
        return "Search index"


class SearchEntry(models.Model):
    """The text of one product in which a search looks: SKU, name, description, in upper case.

    That of a product that was deleted stays for a while: a hit counts only if the product is
    there and matches itself.
    """

    product_id = models.BigIntegerField(primary_key=True)
    text = models.TextField()

    def __str__(self) -> str:
        return f"product {self.product_id}"


class SortEntry(models.Model):
    """What one product is sorted by; ``price`` is -1 for none.

    One that is no longer what the product has is passed over.
    """

    product_id = models.BigIntegerField(primary_key=True)
    name = models.CharField(max_length=NAME_MAX_LENGTH)
    price = models.DecimalField(max_digits=PRICE_MAX_DIGITS, decimal_places=PRICE_DECIMAL_PLACES)
    active = models.BooleanField()
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        indexes = [
            models.Index(fields=[name, "product_id"], name=f"catalog_sortentry_{name}")
            for name in ("name", "price", "active", "created_at", "updated_at")
        ]

    def __str__(self) -> str:
        return f"product {self.product_id}"


class BroughtBack(models.Model):
    """Products (``first_id <= id <= last_id``) among which deleted ones were brought back.

    They have their old numbers, so the search index would not notice them otherwise.
    """

    first_id = models.BigIntegerField()
    last_id = models.BigIntegerField()
    made_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"products {self.first_id} to {self.last_id}"
