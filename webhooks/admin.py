"""The outbox in the admin, to look at."""

from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from webhooks.models import Event


@admin.register(Event)
class EventAdmin(ModelAdmin):
    list_display = ["id", "type", "created_at"]
    list_filter = ["type"]
    fields = ["id", "type", "created_at", "text"]
    readonly_fields = ["id", "type", "created_at", "text"]

    @display(description="Body")
    def text(self, event: Event) -> str:
        return bytes(event.body).decode()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Event | None = None) -> bool:
        return False
