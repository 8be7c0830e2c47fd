"""What people have set for themselves."""

from django.conf import settings
from django.db import models


class PersonSettings(models.Model):
    """What one person has set for the pages; all of it in one row, which a page reads at once."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, primary_key=True, related_name="+"
    )
    # Of the product list: the columns that are shown (none: all), how many rows a page has.
    columns = models.JSONField(default=list, blank=True)
    page_size = models.PositiveSmallIntegerField(default=50)
    # Saved states of that list: {"name": ..., "query": ...}.
    views = models.JSONField(default=list, blank=True)
    keys = models.BooleanField(default=True, help_text="single keys do something on the pages")

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return f"settings of user {self.pk}"
