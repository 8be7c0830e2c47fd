"""The part of the products' API that acts on all that match."""

from typing import Any

from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.change_sets import ChangeSetSerializer
from catalog.api.product_openapi import OWN_VALUES
from catalog.models import ChangeSet
from catalog.operations import bulk
from catalog.queries.filters import FILTERS
from catalog.queries.own_fields.filters import FILTER_MAX_LENGTH
from product_importer.common.actor import actor_of
from product_importer.common.api import JSONBoolean, JSONParser, WholeNumber, asked_object

_JSON: dict[str, Any] = {"pagination_class": None, "parser_classes": [JSONParser]}


@extend_schema_field(
    {
        "type": "object",
        "properties": {
            name: {
                "oneOf": [
                    {"type": "string", "maxLength": FILTER_MAX_LENGTH},
                    {"type": "boolean"},
                    {"type": "integer"},
                ],
                "nullable": True,
            }
            for name in FILTERS
        },
        "additionalProperties": False,
        "description": "As the list takes them; without any, all products are meant.",
    }
)
class FiltersField(serializers.DictField):
    """Filters of products: ``catalog.queries.filters`` has the rules."""


class BulkSerializer(serializers.Serializer[Any]):
    confirm = JSONBoolean(default=False, help_text="Nothing happens without true.")
    filters = FiltersField(default=dict)
    ids = serializers.ListField(
        child=WholeNumber(min_value=1, max_value=2**63 - 1),
        required=False,
        max_length=bulk.MAX_IDS,
        help_text="These products, instead of filters.",
    )

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(self.initial_data) - set(self.fields))
        if unknown:
            # “filter” for “filters” would mean the whole catalogue.
            raise serializers.ValidationError(
                {unknown[0]: f"There is no such field. There are: {', '.join(self.fields)}."}
            )
        if values["confirm"] is not True:
            raise serializers.ValidationError(
                {"confirm": "Send “confirm”: true to do this. Nothing was changed."}
            )
        return values


@extend_schema_field(
    OWN_VALUES
    | {
        "minProperties": 1,
        "maxProperties": 1,
        "description": "One of the catalogue's own fields and its value; null clears it.",
    }
)
class OneFieldField(serializers.DictField):
    """One own field by key: ``catalog.operations.bulk.field_change`` has the rules."""


class BulkUpdateSerializer(BulkSerializer):
    """Either ``active`` or one of ``fields``; no two changes are made at once."""

    active = JSONBoolean(required=False)
    fields = OneFieldField(required=False)  # type: ignore[assignment]

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        values = super().validate(values)
        given = values.pop("fields", None)
        if (given is None) == ("active" not in values):
            raise serializers.ValidationError(
                {"active": "Send either “active” or “fields”, to say what changes."}
            )
        if given is not None:
            if len(given) != 1:
                raise serializers.ValidationError(
                    {"fields": "Send one field and its value; another one is another act."}
                )
            ((key, value),) = given.items()
            try:
                values["own_field"] = bulk.field_change(key=key, value=value)
            except ValueError as error:
                raise serializers.ValidationError({f"fields.{key[:40]}": str(error)}) from None
        return values


class BulkActions:
    @extend_schema(
        summary="Delete all products that match, in a worker",
        request={"application/json": BulkSerializer},
        examples=[
            OpenApiExample(
                "some", {"confirm": True, "filters": {"sku": "LAMP-"}}, request_only=True
            )
        ],
        responses={202: ChangeSetSerializer},
    )
    @action(detail=False, methods=["post"], url_path="bulk-delete", **_JSON)
    def bulk_delete(self, request: Request) -> Response:
        return self._bulk(request, BulkSerializer, ChangeSet.Kind.BULK_DELETE)

    @extend_schema(
        summary="Activate, deactivate or set a field of all products that match, in a worker",
        request={"application/json": BulkUpdateSerializer},
        examples=[
            OpenApiExample(
                "some",
                {"confirm": True, "active": False, "filters": {"sku": "LAMP-"}},
                request_only=True,
            ),
            OpenApiExample(
                "a field",
                {"confirm": True, "fields": {"brand": "Acme"}, "filters": {"sku": "LAMP-"}},
                request_only=True,
            ),
        ],
        responses={202: ChangeSetSerializer},
    )
    @action(detail=False, methods=["post"], url_path="bulk-update", **_JSON)
    def bulk_update(self, request: Request) -> Response:
        return self._bulk(request, BulkUpdateSerializer, ChangeSet.Kind.BULK_EDIT)

    def _bulk(
        self, request: Request, serializer: type[BulkSerializer], kind: ChangeSet.Kind
    ) -> Response:
        asked = serializer(data=asked_object(request))
        asked.is_valid(raise_exception=True)
        change_set = bulk.start_bulk_act(
            kind=kind,
            actor=actor_of(request),
            filters=asked.validated_data["filters"],
            ids=asked.validated_data.get("ids"),
            active=asked.validated_data.get("active"),
            own_field=asked.validated_data.get("own_field"),
        )
        return Response(ChangeSetSerializer(change_set).data, status=status.HTTP_202_ACCEPTED)
