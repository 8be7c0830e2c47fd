"""The API of the export formats: make, change, delete; and the ready-made ones."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_field, extend_schema_view
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog import export_columns
from catalog.export_columns import DELIMITERS, columns_as_json
from catalog.models import ExportFormat
from catalog.operations import export_formats
from catalog.queries.export_formats import ready_made_exports
from product_importer.common.api import asked_object
from product_importer.common.viewsets import JSONViewSet

_TEXT = {"type": "string", "maxLength": export_columns.TEXT_MAX_LENGTH}
_COLUMNS: dict[str, Any] = {
    "type": "array",
    "minItems": 1,
    "maxItems": export_columns.COLUMNS_AT_MOST,
    "items": {
        "type": "object",
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "maxLength": export_columns.NAME_MAX_LENGTH,
                "description": "of the column in the file",
            },
            "field": _TEXT | {"description": "sku, name ... or fields.KEY"},
            "constant": _TEXT | {"description": "a fixed text, in place of a field"},
            "at_least": _TEXT | {"description": "of a number: true from this on, else false"},
            "values": {
                "type": "object",
                "additionalProperties": _TEXT,
                "description": "other words in place of a value's: active to publish or draft",
            },
            "otherwise": _TEXT | {"description": "in place of all words that `values` has not"},
            "decimal": {"type": "string", "enum": [".", ","]},
            "prefix": _TEXT,
            "currency": {
                "type": "string",
                "maxLength": 3,
                "description": "written after a price; blank: asked for with each export",
            },
            "suffix": _TEXT,
            "blank": _TEXT | {"description": "where there is no value"},
        },
    },
    "example": [{"name": "id", "field": "sku"}, {"name": "brand", "field": "fields.brand"}],
}


class ExportFormatSerializer(serializers.ModelSerializer[ExportFormat]):
    class Meta:
        model = ExportFormat
        fields = ["id", *export_formats.EDITABLE, "created_at", "updated_at"]

    columns = serializers.SerializerMethodField()

    @extend_schema_field(_COLUMNS)
    def get_columns(self, found: ExportFormat) -> list[dict[str, Any]]:
        return list(found.columns)


class ReadyMadeExportSerializer(serializers.Serializer[Any]):
    """What can be sent to ``export-formats/`` to have it as a format of one's own."""

    name = serializers.CharField()
    delimiter = serializers.CharField(trim_whitespace=False)
    columns = serializers.SerializerMethodField()

    @extend_schema_field(_COLUMNS)
    def get_columns(self, found: Any) -> list[dict[str, Any]]:
        return columns_as_json(found.columns)


def _body(*required: str) -> dict[str, Any]:
    properties = {
        "name": {
            "type": "string",
            "minLength": 1,
            "maxLength": export_formats.NAME_MAX_LENGTH,
            "pattern": r"^[^\x00-\x1f]*[^0-9\s\x00-\x1f][^\x00-\x1f]*$",  # not digits alone
        },
        "delimiter": {"type": "string", "enum": [*DELIMITERS]},
        "columns": _COLUMNS,
    }
    body: dict[str, Any] = {"type": "object", "properties": properties}
    return {"application/json": body | ({"required": [*required]} if required else {})}


@extend_schema_view(
    list=extend_schema(summary="The export formats that were made, newest first"),
    retrieve=extend_schema(summary="One export format"),
)
class ExportFormatViewSet(JSONViewSet, viewsets.ReadOnlyModelViewSet[ExportFormat]):
    queryset = ExportFormat.objects.all()
    serializer_class = ExportFormatSerializer
    permissions_of = {
        "list": "catalog.export_product",
        "retrieve": "catalog.export_product",
        "ready_made": "catalog.export_product",
        "create": "catalog.add_exportformat",
        "partial_update": "catalog.change_exportformat",
        "destroy": "catalog.delete_exportformat",
    }

    @extend_schema(
        summary="Make an export format",
        request=_body("name", "columns"),
        responses={201: ExportFormatSerializer},
    )
    def create(self, request: Request) -> Response:
        made = export_formats.create_export_format(data=asked_object(request))
        return Response(ExportFormatSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change an export format",
        request=_body(),
        responses={200: ExportFormatSerializer},
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        found = self.get_object()
        try:
            made = export_formats.update_export_format(
                format_id=found.pk, data=asked_object(request)
            )
        except ExportFormat.DoesNotExist:
            raise exceptions.NotFound from None
        return Response(ExportFormatSerializer(made).data)

    @extend_schema(summary="Delete an export format", responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        export_formats.delete_export_format(format_id=self.get_object().pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="The ready-made formats, for the own fields that there are",
        responses=ReadyMadeExportSerializer(many=True),
    )
    @action(detail=False, pagination_class=None, url_path="ready-made")
    def ready_made(self, request: Request) -> Response:
        return Response(ReadyMadeExportSerializer(ready_made_exports(), many=True).data)
