"""The API of the webhooks."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from product_importer.common.actor import actor_of
from product_importer.common.api import (
    ErrorSerializer,
    HasPermission,
    JSONBoolean,
    JSONText,
    NewestFirst,
)
from product_importer.common.parsing import ROW_NUMBER, TEXT_MAX_LENGTH
from product_importer.common.viewsets import ChangedByOperations, JSONViewSet
from webhooks.models import (
    DESCRIPTION_MAX_LENGTH,
    SUBSCRIBABLE,
    Attempt,
    Delivery,
    Endpoint,
    Event,
)
from webhooks.operations import endpoints

HIDDEN = "whsec_…"
EVENT_MAX_LENGTH = 100  # of a name; the operation says which there are
EVENTS_MAX = 100  # named at once, some of them twice


@extend_schema_field({"type": "string", "format": "uri", "example": "https://example.com/hook"})
class AddressField(JSONText):
    """A URL; the guard knows which may be called."""


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "string", "enum": list(SUBSCRIBABLE)},
        "minItems": 1,
        "maxItems": EVENTS_MAX,
    }
)
class EventsField(serializers.ListField):
    """Names of events; the operation knows which there are."""

    child = JSONText(max_length=EVENT_MAX_LENGTH)


class EndpointSerializer(serializers.ModelSerializer[Endpoint]):
    """``secret`` is whole only in the answer to creating an endpoint or rotating its secret."""

    class Meta:
        model = Endpoint
        fields = [
            "id",
            "url",
            "description",
            "events",
            "enabled",
            "disabled_reason",
            "secret",
            "created_at",
        ]
        read_only_fields = ["id", "disabled_reason", "created_at"]

    # The rules are the operation's, which the pages share; here are only the kinds.
    url = AddressField(max_length=TEXT_MAX_LENGTH, help_text="http:// or https://, public")
    description = JSONText(required=False, allow_blank=True, max_length=DESCRIPTION_MAX_LENGTH)
    events = EventsField(max_length=EVENTS_MAX)
    enabled = JSONBoolean(required=False)
    secret = serializers.SerializerMethodField()

    def get_secret(self, endpoint: Endpoint) -> str:
        return self.context.get("secret") or HIDDEN


class AttemptSerializer(serializers.ModelSerializer[Attempt]):
    """``error`` says why there was no response, or none could be recorded; ``null`` otherwise."""

    class Meta:
        model = Attempt
        fields = [
            "at",
            "response_status",
            "latency_ms",
            "error",
            "detail",
            "address",
            "lookup_ms",
            "connect_ms",
            "first_byte_ms",
            "request_headers",
            "response_headers",
            "response_body",
        ]
        read_only_fields = fields

    error = serializers.SerializerMethodField()

    def get_error(self, attempt: Attempt) -> str | None:
        return attempt.error or None


class DeliverySerializer(serializers.ModelSerializer[Delivery]):
    """``event`` is the event's sequence number, ``webhook_id`` the header it is sent with."""

    class Meta:
        model = Delivery
        fields = [
            "id",
            "endpoint",
            "event",
            "event_type",
            "webhook_id",
            "state",
            "is_test",
            "attempts",
            "next_attempt_at",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields

    event_type = serializers.CharField(source="event.type", read_only=True)
    webhook_id = serializers.CharField(source="event.message_id", read_only=True)
    attempts = AttemptSerializer(many=True, read_only=True)


class RecoverSerializer(serializers.Serializer[Any]):
    since = serializers.DateTimeField(help_text="Events from this time on are sent again.")


class QueuedSerializer(serializers.Serializer[Any]):
    queued = serializers.IntegerField(help_text="deliveries that are now due")


class NewestEventFirst(NewestFirst):
    ordering = "-event_id"  # unique within an endpoint, and its index


class DeliveryFilter(django_filters.FilterSet):
    class Meta:
        model = Delivery
        fields = ["state"]

    event_type = django_filters.ChoiceFilter(field_name="event__type", choices=Event.Type.choices)


@extend_schema_view(
    list=extend_schema(summary="The endpoints, newest first"),
    retrieve=extend_schema(summary="One endpoint"),
    update=extend_schema(summary="Change an endpoint"),
    partial_update=extend_schema(summary="Change some fields of an endpoint"),
    destroy=extend_schema(summary="Delete an endpoint: nothing more is sent to it"),
)
class EndpointViewSet(ChangedByOperations, JSONViewSet, viewsets.ReadOnlyModelViewSet[Endpoint]):
    queryset = Endpoint.objects.all()
    serializer_class = EndpointSerializer
    permissions_of = {
        "list": "webhooks.view_endpoint",
        "retrieve": "webhooks.view_endpoint",
        "deliveries": "webhooks.view_endpoint",
        "create": "webhooks.add_endpoint",
        "update": "webhooks.change_endpoint",
        "partial_update": "webhooks.change_endpoint",
        "destroy": "webhooks.delete_endpoint",
        "test": "webhooks.change_endpoint",
        "rotate_secret": "webhooks.change_endpoint",
        "recover": "webhooks.change_endpoint",
    }
    heavy_actions = ("test", "recover")

    def get_queryset(self) -> QuerySet[Endpoint]:
        return Endpoint.objects.all()

    @extend_schema(
        summary="Subscribe a URL; the answer has the secret, for the only time",
        responses={201: EndpointSerializer},
    )
    def create(self, request: Request) -> Response:
        given = EndpointSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        endpoint, secret = endpoints.create_endpoint(
            actor=actor_of(request), **given.validated_data
        )
        return Response(_whole(endpoint, secret), status=status.HTTP_201_CREATED)

    def change_row(self, pk: int, values: dict[str, Any]) -> Endpoint:
        return endpoints.update_endpoint(endpoint_id=pk, **values)

    def delete_row(self, pk: int) -> None:
        endpoints.delete_endpoint(endpoint_id=pk)

    @extend_schema(
        summary="Send a test event: one try", request=None, responses={202: DeliverySerializer}
    )
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        delivery = endpoints.send_test(endpoint_id=self.get_object().pk)
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="Make a new secret; the old one signs as well for 24 hours",
        request=None,
        responses=EndpointSerializer,
    )
    @action(detail=True, methods=["post"], url_path="rotate-secret")
    def rotate_secret(self, request: Request, pk: str) -> Response:
        endpoint = self.get_object()
        return Response(_whole(endpoint, endpoints.rotate_secret(endpoint_id=endpoint.pk)))

    @extend_schema(
        summary="Send again what failed or was missed since a time",
        request=RecoverSerializer,
        responses={202: QueuedSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, methods=["post"])
    def recover(self, request: Request, pk: str) -> Response:
        endpoint = self.get_object()
        wanted = RecoverSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        queued = endpoints.recover(endpoint_id=endpoint.pk, since=wanted.validated_data["since"])
        return Response({"queued": queued}, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="What was sent to an endpoint",
        parameters=[
            OpenApiParameter("state", str, enum=Delivery.State.values),
            OpenApiParameter("event_type", str, enum=Event.Type.values),
        ],
        responses=DeliverySerializer(many=True),
    )
    @action(detail=True, serializer_class=DeliverySerializer, pagination_class=NewestEventFirst)
    def deliveries(self, request: Request, pk: str) -> Response:
        found: Any = self.get_object().deliveries.all()
        filters = DeliveryFilter(request.query_params, found)
        if not filters.is_valid():
            raise serializers.ValidationError(dict(filters.errors))
        found = _with_attempts(filters.qs)
        page: Any = self.paginate_queryset(found)
        return self.get_paginated_response(DeliverySerializer(page, many=True).data)

    def filter_queryset(self, queryset: Any) -> Any:
        return queryset  # the filters are those of the deliveries


@extend_schema_view(retrieve=extend_schema(summary="One delivery, with its attempts"))
class DeliveryViewSet(mixins.RetrieveModelMixin, viewsets.GenericViewSet[Delivery]):
    queryset = Delivery.objects.all()
    serializer_class = DeliverySerializer
    permission_classes = [HasPermission]
    permissions_of = {"retrieve": "webhooks.view_endpoint", "resend": "webhooks.change_endpoint"}
    heavy_actions = ("resend",)
    lookup_value_regex = ROW_NUMBER

    def get_queryset(self) -> QuerySet[Delivery]:
        return _with_attempts(Delivery.objects.filter(endpoint__deleted_at=None))

    @extend_schema(
        summary="Send a delivery again",
        request=None,
        responses={202: DeliverySerializer, 409: ErrorSerializer},
    )
    @action(detail=True, methods=["post"])
    def resend(self, request: Request, pk: str) -> Response:
        delivery = endpoints.resend(delivery_id=self.get_object().pk)
        return Response(DeliverySerializer(delivery).data, status=status.HTTP_202_ACCEPTED)


def _with_attempts(deliveries: QuerySet[Delivery]) -> QuerySet[Delivery]:
    return deliveries.select_related("event").defer("event__body").prefetch_related("attempts")


def _whole(endpoint: Endpoint, secret: str) -> Any:
    return EndpointSerializer(endpoint, context={"secret": secret}).data
