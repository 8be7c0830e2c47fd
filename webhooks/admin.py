"""The outbox in the admin, to look at; and what all looking admins share."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from webhooks.models import Event


class ReadOnlyAdmin(ModelAdmin):
    """For rows that only operations write."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ["id", "type", "created_at"]
    list_filter = ["type"]
    fields = ["id", "type", "created_at", "text"]
    readonly_fields = ["id", "type", "created_at", "text"]

    @display(description="Body")
    def text(self, event: Event) -> str:
        return bytes(event.body).decode()
