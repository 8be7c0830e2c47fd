"""The webhooks in the admin, to look at; and what all looking admins share."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from unfold.admin import ModelAdmin
from unfold.decorators import display

from webhooks.models import Attempt, Delivery, Endpoint, Event


class ListAdmin(ModelAdmin):
    """For rows with long values: its list does not load those that it does not show."""

    # Names of fields, also of what ``list_select_related`` has; the page of one row loads them.
    not_listed: tuple[str, ...] = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        return found.defer(*self.not_listed) if self.not_listed else found


class ReadOnlyAdmin(ListAdmin):
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
    not_listed = ("body",)
    show_full_result_count = False
    fields = ["id", "type", "message_id", "created_at", "text"]
    readonly_fields = ["id", "type", "message_id", "created_at", "text"]

    @display(description="Body")
    def text(self, event: Event) -> str:
        return bytes(event.body).decode()


@admin.register(Endpoint)
class EndpointAdmin(ReadOnlyAdmin):
    """Endpoints are made and changed on their pages; secrets are shown nowhere."""

    list_display = ["id", "url", "state", "failing_since", "created_by", "created_at", "page"]
    list_filter = ["enabled"]
    list_select_related = ["created_by"]
    search_fields = ["url", "description"]
    readonly_fields = ["page"]

    @display(description="State", label={"Enabled": "success", "Disabled": "warning"})
    def state(self, endpoint: Endpoint) -> str:
        return "Enabled" if endpoint.enabled else "Disabled"

    @display(description="Page")
    def page(self, endpoint: Endpoint) -> str:
        return format_html('<a href="/webhooks/{}/">Open</a>', endpoint.pk)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = ["id", "event", "endpoint", "shown_state", "tries", "next_attempt_at", "page"]
    list_filter = ["state", "is_test", "event__type"]
    list_select_related = ["event", "endpoint"]
    not_listed = ("event__body",)
    search_fields = ["=endpoint__id", "=event__id"]
    search_help_text = "Number of the endpoint or of the event"
    show_full_result_count = False
    readonly_fields = ["page"]

    @display(
        description="State",
        label={
            Delivery.State.SUCCEEDED.label: "success",
            Delivery.State.FAILED.label: "danger",
            Delivery.State.PENDING.label: "info",
            "Retrying": "warning",
        },
    )
    def shown_state(self, delivery: Delivery) -> str:
        return "Retrying" if delivery.is_retrying else delivery.get_state_display()

    @display(description="Page")
    def page(self, delivery: Delivery) -> str:
        return format_html('<a href="/webhooks/deliveries/{}/">Open</a>', delivery.pk)


@admin.register(Attempt)
class AttemptAdmin(ReadOnlyAdmin):
    list_display = ["id", "delivery", "at", "response_status", "error", "latency_ms", "address"]
    list_filter = ["error", "at"]
    list_select_related = ["delivery"]
    not_listed = ("request_headers", "response_headers", "response_body")
    search_fields = ["=delivery__id", "=endpoint__id"]
    search_help_text = "Number of the delivery or of the endpoint"
    show_full_result_count = False
    ordering = ["-id"]
