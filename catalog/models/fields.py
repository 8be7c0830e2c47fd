"""Fields of one's own: what a product has beside the five."""

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from catalog import field_values
from catalog.models.change_sets import ChangeSet


class Field(models.Model):
    """A field of one's own: what a product has beside the five, as its owners defined it.

    Its values are under its ``key`` in ``Product.own_fields``. One that is retired keeps them and
    is shown nowhere; one that is deleted is cleared by a change set of its own (``cleared_in``),
    and is retired again if that one is undone.
    """

    class Type(models.TextChoices):
        TEXT = "text", "Text"
        LONG_TEXT = "long_text", "Long text"
        INTEGER = "integer", "Whole number"
        DECIMAL = "decimal", "Decimal number"
        MONEY = "money", "Money"
        BOOLEAN = "boolean", "Yes or no"
        DATE = "date", "Date"
        CHOICE = "choice", "One of a list"
        CHOICES = "choices", "Several of a list"
        LINK = "link", "Link"
        IMAGE = "image", "Link to an image"
        GTIN = "gtin", "GTIN (EAN, UPC)"

    key = models.CharField(max_length=field_values.KEY_MAX_LENGTH, unique=True)
    label = models.CharField(max_length=field_values.LABEL_MAX_LENGTH)
    type = models.CharField(max_length=10, choices=Type)
    # ``choices`` of a list, ``scale`` (decimals) of a decimal number.
    options = models.JSONField(default=dict, blank=True)
    required = models.BooleanField(default=False)
    unique = models.BooleanField(default=False)
    help = models.CharField(max_length=255, blank=True, default="")
    position = models.PositiveIntegerField(default=0)
    in_list = models.BooleanField(default=True, help_text="shown in the list of products")
    in_events = models.BooleanField(default=True, help_text="told by webhooks")
    indexed = models.BooleanField(
        default=False, db_default=False, help_text="found and sorted by an index of its own"
    )
    retired = models.BooleanField(default=False)
    cleared_in = models.ForeignKey(
        ChangeSet, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["position", "id"]
        constraints = [
            models.UniqueConstraint(Lower("label"), name="catalog_field_label_key"),
        ]

    def __str__(self) -> str:
        return self.label

    @property
    def is_told(self) -> bool:
        """Whether events tell its values; a long text may be too long for one."""
        return self.in_events and self.type != self.Type.LONG_TEXT

    @property
    def definition(self) -> field_values.Definition:
        """What its values may be, as files, forms and the API ask."""
        return field_values.Definition(
            key=self.key,
            label=self.label,
            type=self.type,
            choices=tuple(self.options.get("choices", ())),
            scale=self.options.get("scale", field_values.MONEY_SCALE),
            required=self.required,
            unique=self.unique,
        )
