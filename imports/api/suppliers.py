"""The API of the suppliers and their formats."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from imports.models import NAME_MAX_LENGTH, Format, FormatVersion, Supplier
from imports.operations import suppliers as operations
from imports.queries.formats import as_file
from product_importer.common.actor import actor_of
from product_importer.common.api import (
    ErrorSerializer,
    HasPermission,
    JSONParser,
    JSONText,
    NewestFirst,
    Refusal,
    WholeNumber,
    invalid,
)
from product_importer.common.parsing import ROW_NUMBER, whole_number

# As for importing: who may import says how files are read.
SEE, CHANGE = "imports.view_importjob", "imports.add_importjob"
CRUD = {
    "list": SEE,
    "retrieve": SEE,
    **dict.fromkeys(("create", "update", "partial_update", "destroy"), CHANGE),
}


class SupplierSerializer(serializers.ModelSerializer[Supplier]):
    class Meta:
        model = Supplier
        fields = ["id", "name", "created_at"]
        read_only_fields = ["id", "created_at"]

    name = JSONText(max_length=NAME_MAX_LENGTH)


class RulesField(serializers.DictField):
    """Rules as an object; the operation knows which there are."""


class FormatSerializer(serializers.ModelSerializer[Format]):
    class Meta:
        model = Format
        fields = [
            "id",
            "supplier",
            "name",
            "version",
            "rules",
            "columns",
            "ready_made",
            "last_used_at",
            "created_at",
        ]
        read_only_fields = ["id", "version", "ready_made", "last_used_at", "created_at"]

    supplier = WholeNumber(
        source="supplier_id",
        min_value=1,
        max_value=2**63 - 1,
        allow_null=True,
        help_text="null for those that come with the product",
    )
    name = JSONText(max_length=NAME_MAX_LENGTH)
    rules = RulesField(help_text="How such a file is read: docs/csv.md, “Rules”.")
    columns = serializers.ListField(
        child=JSONText(allow_blank=True, max_length=1000, trim_whitespace=False),
        required=False,
        max_length=operations.MAX_COLUMNS,
        help_text="The names of the columns, by which a file is recognised.",
    )


class VersionSerializer(serializers.ModelSerializer[FormatVersion]):
    class Meta:
        model = FormatVersion
        fields = ["number", "rules", "columns", "created_at", "created_by"]
        read_only_fields = fields

    rules = RulesField(read_only=True)
    columns = serializers.ListField(child=serializers.CharField(), read_only=True)
    created_by = serializers.CharField(
        source="created_by.username", default=None, read_only=True, allow_null=True
    )


class FormatFileSerializer(serializers.Serializer[Any]):
    """A format by itself: ``dialect`` as in the Frictionless Table Dialect."""

    supplier = JSONText(max_length=NAME_MAX_LENGTH, help_text="its name; made if it is new")
    name = JSONText(max_length=NAME_MAX_LENGTH)
    encoding = JSONText(required=False, max_length=100)
    member = JSONText(required=False, max_length=1000)
    dialect = serializers.DictField(
        required=False, help_text="delimiter, quoteChar, header, headerRows, sheetName, sheetNumber"
    )
    columns = serializers.ListField(
        child=JSONText(allow_blank=True, max_length=1000, trim_whitespace=False),
        required=False,
        max_length=operations.MAX_COLUMNS,
        help_text="their names",
    )
    rules = RulesField(required=False, help_text="the other rules")


class ByNumber(NewestFirst):
    ordering = "-number"


class Explained(viewsets.GenericViewSet[Any]):
    """Tells what the operations refuse in the API's words."""

    pagination_class = NewestFirst
    parser_classes = [JSONParser]
    permission_classes = [HasPermission]
    lookup_value_regex = ROW_NUMBER

    def handle_exception(self, exc: Exception) -> Response:
        if isinstance(exc, operations.Invalid):
            exc = invalid(exc.errors)
        elif isinstance(exc, operations.ReadyMade):
            exc = Refusal(str(exc))
        return super().handle_exception(exc)


@extend_schema_view(
    list=extend_schema(summary="The suppliers, newest first"),
    retrieve=extend_schema(summary="One supplier"),
)
class SupplierViewSet(Explained, viewsets.ReadOnlyModelViewSet[Supplier]):
    queryset = Supplier.objects.all()
    serializer_class = SupplierSerializer
    permissions_of = CRUD

    def _name(self, request: Request) -> str:
        given = SupplierSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return str(given.validated_data["name"])

    @extend_schema(summary="Add a supplier", responses={201: SupplierSerializer})
    def create(self, request: Request) -> Response:
        supplier = operations.create_supplier(name=self._name(request), user=actor_of(request))
        return Response(SupplierSerializer(supplier).data, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Rename a supplier")
    def update(self, request: Request, pk: str) -> Response:
        supplier = operations.rename_supplier(
            supplier_id=self.get_object().pk, name=self._name(request)
        )
        return Response(SupplierSerializer(supplier).data)

    @extend_schema(summary="Rename a supplier")
    def partial_update(self, request: Request, pk: str) -> Response:
        return self.update(request, pk)

    @extend_schema(summary="Delete a supplier with its formats; its imports and products stay")
    def destroy(self, request: Request, pk: str) -> Response:
        operations.delete_supplier(supplier_id=self.get_object().pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    list=extend_schema(
        summary="The formats, newest first",
        parameters=[OpenApiParameter("supplier", int, description="those of one supplier")],
    ),
    retrieve=extend_schema(summary="One format, as its newest version is"),
)
class FormatViewSet(Explained, viewsets.ReadOnlyModelViewSet[Format]):
    queryset = Format.objects.all()
    serializer_class = FormatSerializer
    permissions_of = {**CRUD, "versions": SEE, "export": SEE, "import_": CHANGE}

    def get_queryset(self) -> QuerySet[Format]:
        formats = Format.objects.all()
        if self.action == "list" and (text := self.request.query_params.get("supplier")):
            number = whole_number(text)
            if number is None:
                raise serializers.ValidationError({"supplier": ["Write the id of a supplier."]})
            return formats.filter(supplier=number)
        return formats

    @extend_schema(summary="Add a format", responses={201: FormatSerializer})
    def create(self, request: Request) -> Response:
        given = FormatSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        made = operations.create_format(
            supplier_id=values.pop("supplier_id"), user=actor_of(request), **values
        )
        return Response(FormatSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="Change a format: new rules or columns are a new version",
        responses={200: FormatSerializer, 409: ErrorSerializer},
    )
    def update(self, request: Request, pk: str, *, partial: bool = False) -> Response:
        given = FormatSerializer(data=request.data, partial=partial)
        given.is_valid(raise_exception=True)
        changed = operations.change_format(
            format_id=self.get_object().pk, user=actor_of(request), **given.validated_data
        )
        return Response(FormatSerializer(changed).data)

    @extend_schema(
        summary="Change some fields of a format",
        responses={200: FormatSerializer, 409: ErrorSerializer},
    )
    def partial_update(self, request: Request, pk: str) -> Response:
        return self.update(request, pk, partial=True)

    @extend_schema(
        summary="Delete a format; imports keep the rules that they were read by",
        responses={204: None, 409: ErrorSerializer},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        operations.delete_format(format_id=self.get_object().pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="The versions of a format, newest first", responses=VersionSerializer(many=True)
    )
    @action(detail=True, serializer_class=VersionSerializer, pagination_class=ByNumber)
    def versions(self, request: Request, pk: str) -> Response:
        versions: Any = self.get_object().versions.select_related("created_by")
        page: Any = self.paginate_queryset(versions)
        return self.get_paginated_response(VersionSerializer(page, many=True).data)

    @extend_schema(
        summary="A format as JSON, to keep or to import elsewhere",
        description="Names as in the Frictionless Table Dialect where they mean the same.",
        responses=FormatFileSerializer,
    )
    @action(detail=True, pagination_class=None)
    def export(self, request: Request, pk: str) -> Response:
        return Response(
            as_file(self.get_object()),
            headers={"Content-Disposition": f'attachment; filename="format-{int(pk)}.json"'},
        )

    @extend_schema(
        summary="Add a format from its JSON, or a version of the supplier's one of this name",
        request=FormatFileSerializer,
        responses={201: FormatSerializer},
    )
    @action(detail=False, methods=["post"], url_path="import", url_name="import")
    def import_(self, request: Request) -> Response:
        given = FormatFileSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = operations.import_format(data=given.validated_data, user=actor_of(request))
        return Response(FormatSerializer(made).data, status=status.HTTP_201_CREATED)
