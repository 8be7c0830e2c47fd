"""What the project keeps of its own: what is known of an API token beside the token."""

from datetime import datetime

from django.db import models
from django.utils import timezone


class ApiToken(models.Model):
    """Name, scope and last use of a token; the token itself, hashed, and its expiry are knox's.

    A row of its own beside knox's, and not a token model of ours in its place: the tokens that
    exist stay where they are (docs/decisions/0011-safety.md).
    """

    class Scope(models.TextChoices):
        READ = "read", "Read only"
        WRITE = "write", "Read and write"

    token = models.OneToOneField(
        "knox.AuthToken", on_delete=models.CASCADE, related_name="api_token"
    )
    name = models.CharField(max_length=100)
    scope = models.CharField(max_length=10, choices=Scope.choices, default=Scope.WRITE)
    last_used_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API token"

    def __str__(self) -> str:
        return self.name

    @property
    def expires_at(self) -> datetime | None:
        expiry: datetime | None = self.token.expiry
        return expiry

    @property
    def has_expired(self) -> bool:
        return self.expires_at is not None and self.expires_at <= timezone.now()
