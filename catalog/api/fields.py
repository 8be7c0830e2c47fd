"""The API of the fields of one's own: define, change, retire, delete."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog import field_values
from catalog.api.change_sets import ChangeSetSerializer
from catalog.models import Field
from catalog.operations import fields
from product_importer.common.actor import actor_of
from product_importer.common.api import ErrorSerializer, asked_object
from product_importer.common.viewsets import JSONViewSet

_OPTIONS: dict[str, Any] = {
    "type": "object",
    "properties": {
        "choices": {
            "type": "array",
            "items": {"type": "string", "maxLength": field_values.CHOICE_MAX_LENGTH},
            "maxItems": field_values.CHOICES_AT_MOST,
        },
        "scale": {"type": "integer", "minimum": 0, "maximum": field_values.SCALE_AT_MOST},
    },
}


class FieldSerializer(serializers.ModelSerializer[Field]):
    """``options``: ``choices`` of a list, ``scale`` (decimals) of a decimal number."""

    class Meta:
        model = Field
        fields = ["id", *fields.EDITABLE]
        extra_kwargs = {"key": {"required": False}}

    options = serializers.SerializerMethodField()

    @extend_schema_field(_OPTIONS)
    def get_options(self, field: Field) -> dict[str, Any]:
        return dict(field.options)


_BODY: dict[str, Any] = {
    "application/json": {
        "type": "object",
        "properties": {
            "key": {"type": "string", "maxLength": field_values.KEY_MAX_LENGTH},
            "label": {"type": "string", "minLength": 1, "maxLength": 100},
            "type": {"type": "string", "enum": Field.Type.values},
            "options": _OPTIONS,
            "required": {"type": "boolean"},
            "unique": {"type": "boolean"},
            "help": {"type": "string", "maxLength": 255},
            "position": {"type": "integer", "minimum": 0, "maximum": 999_999},
            "in_list": {"type": "boolean"},
            "in_events": {"type": "boolean"},
            "indexed": {"type": "boolean"},
            "retired": {"type": "boolean"},
        },
    }
}
_NEW_BODY = {"application/json": {**_BODY["application/json"], "required": ["label", "type"]}}
_REFUSED = {409: ErrorSerializer}


@extend_schema_view(
    list=extend_schema(summary="The catalogue's own fields, in their order"),
    retrieve=extend_schema(summary="One field"),
)
class FieldViewSet(JSONViewSet, viewsets.ReadOnlyModelViewSet[Field]):
    queryset = Field.objects.all()
    serializer_class = FieldSerializer
    pagination_class = None
    permissions_of = {
        "list": "catalog.view_product",
        "retrieve": "catalog.view_product",
        "create": "catalog.add_field",
        "ready_made": "catalog.add_field",
        "update": "catalog.change_field",
        "partial_update": "catalog.change_field",
        "destroy": "catalog.delete_field",
    }

    @extend_schema(summary="Define a field", request=_NEW_BODY)
    def create(self, request: Request) -> Response:
        field = fields.create_field(data=asked_object(request))
        return Response(FieldSerializer(field).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Define the ready-made fields that are not there yet",
        request=None,
        responses={201: FieldSerializer(many=True), **_REFUSED},
    )
    @action(detail=False, methods=["post"], url_path="ready-made")
    def ready_made(self, request: Request) -> Response:
        made = fields.create_ready_made()
        return Response(FieldSerializer(made, many=True).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change a field's definition, or retire it",
        request=_BODY,
        responses={200: FieldSerializer, **_REFUSED},
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        field = self.get_object()
        try:
            field = fields.update_field(field_id=field.pk, data=asked_object(request))
        except Field.DoesNotExist:
            raise exceptions.NotFound from None
        return Response(FieldSerializer(field).data)

    @extend_schema(
        summary="Delete a retired field: its values are cleared by a change set",
        responses={202: ChangeSetSerializer, 204: None, **_REFUSED},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        field = self.get_object()
        try:
            change_set = fields.delete_field(field_id=field.pk, actor=actor_of(request))
        except Field.DoesNotExist:
            raise exceptions.NotFound from None
        if change_set is None:
            return Response(status=status.HTTP_204_NO_CONTENT)
        return Response(ChangeSetSerializer(change_set).data, status=status.HTTP_202_ACCEPTED)
