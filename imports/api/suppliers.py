"""The API of the suppliers and their formats."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_view
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from imports.models import NAME_MAX_LENGTH, Format, FormatVersion, Supplier
from imports.operations import suppliers as operations
from imports.queries.formats import as_file
from product_importer.common.actor import actor_of
from product_importer.common.api import (
    ErrorSerializer,
    JSONBoolean,
    JSONText,
    NewestFirst,
    WholeNumber,
)
from product_importer.common.parsing import whole_number
from product_importer.common.viewsets import JSONViewSet

# As for importing: who may import says how files are read.
SEE, CHANGE = "imports.view_importjob", "imports.add_importjob"
CRUD = {
    "list": SEE,
    "retrieve": SEE,
    **dict.fromkeys(("create", "update", "partial_update", "destroy"), CHANGE),
}


def bound(name: str, help_text: str) -> WholeNumber:
    """A stop rule; null: any number is usual."""
    most = operations.STOP_RULES[name]
    return WholeNumber(
        required=False, allow_null=True, min_value=0, max_value=most, help_text=help_text
    )


class SupplierSerializer(serializers.ModelSerializer[Supplier]):
    class Meta:
        model = Supplier
        fields = ["id", "name", *operations.SETTINGS, "created_at"]
        read_only_fields = ["id", "created_at"]

    name = JSONText(max_length=NAME_MAX_LENGTH)
    stop_refused = bound("stop_refused", "Per cent of the records that may be refused.")
    stop_missing = bound(
        "stop_missing", "Per cent of what the supplier brought in that a full list may lack."
    )
    stop_price_change = bound(
        "stop_price_change", "A price that changes by more than so many per cent counts."
    )
    stop_price_share = bound("stop_price_share", "Per cent of the prices that may do so.")
    stop_created = bound(
        "stop_created", "Per cent of the products in a file that may be new, but for the first."
    )
    stop_fewer = bound("stop_fewer", "Per cent of records fewer than in the last import.")
    stop_age = bound("stop_age", "Days since the file was last changed, where that is known.")
    stop_columns = JSONBoolean(
        required=False, help_text="Whether other columns than last time stop it."
    )
    second_person = JSONBoolean(
        required=False, help_text="Whether somebody else than who uploaded a file has to apply it."
    )


class RulesField(serializers.DictField):
    """Rules as an object; the operation knows which there are."""


class IfMissingField(serializers.DictField):
    """An action as an object; the operation knows which there are."""


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
            "full_list",
            "if_missing",
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
    full_list = JSONBoolean(
        required=False,
        help_text="Such a file is the supplier's whole list: products that it brought in and that "
        "the file lacks are dealt with.",
    )
    if_missing = IfMissingField(
        required=False,
        help_text="What becomes of those: an action (deactivate, delete, set); set takes a field "
        "(its key) and a value.",
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


@extend_schema_view(
    list=extend_schema(summary="The suppliers, newest first"),
    retrieve=extend_schema(summary="One supplier"),
)
class SupplierViewSet(JSONViewSet, viewsets.ReadOnlyModelViewSet[Supplier]):
    queryset = Supplier.objects.all()
    serializer_class = SupplierSerializer
    permissions_of = CRUD

    def _given(self, request: Request, *, partial: bool = False) -> dict[str, Any]:
        """The values; what is usual for a supplier takes a permission of its own."""
        given = SupplierSerializer(data=request.data, partial=partial)
        given.is_valid(raise_exception=True)
        values: dict[str, Any] = dict(given.validated_data)
        if values.keys() - {"name"} and not request.user.has_perm("imports.change_supplier"):
            raise exceptions.PermissionDenied(
                "What is usual for a supplier, and who applies what is not, managers decide."
            )
        return values

    @extend_schema(summary="Add a supplier", responses={201: SupplierSerializer})
    @transaction.atomic
    def create(self, request: Request) -> Response:
        values, user = self._given(request), actor_of(request)
        supplier = operations.create_supplier(name=values.pop("name"), user=user)
        supplier = operations.change_settings(supplier_id=supplier.pk, user=user, **values)
        return Response(SupplierSerializer(supplier).data, status=status.HTTP_201_CREATED)

    @extend_schema(summary="Rename a supplier, and say what is usual for it")
    @transaction.atomic
    def update(self, request: Request, pk: str, *, partial: bool = False) -> Response:
        supplier_id, values = self.get_object().pk, self._given(request, partial=partial)
        if "name" in values:
            operations.rename_supplier(supplier_id=supplier_id, name=values.pop("name"))
        supplier = operations.change_settings(
            supplier_id=supplier_id, user=actor_of(request), **values
        )
        return Response(SupplierSerializer(supplier).data)

    @extend_schema(summary="Change some of it")
    def partial_update(self, request: Request, pk: str) -> Response:
        return self.update(request, pk, partial=True)

    @extend_schema(summary="Delete a supplier with its formats; its imports and products stay")
    def destroy(self, request: Request, pk: str) -> Response:
        supplier = self.get_object()
        if not operations.may_delete_supplier(supplier, request.user):
            raise exceptions.PermissionDenied(
                "A second person looks at the files of this supplier: managers delete it."
            )
        operations.delete_supplier(supplier_id=supplier.pk)
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    list=extend_schema(
        summary="The formats, newest first",
        parameters=[OpenApiParameter("supplier", int, description="those of one supplier")],
    ),
    retrieve=extend_schema(summary="One format, as its newest version is"),
)
class FormatViewSet(JSONViewSet, viewsets.ReadOnlyModelViewSet[Format]):
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
        self._check_missing(values)
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
        found = self.get_object()
        self._check_missing(given.validated_data, found)
        changed = operations.change_format(
            format_id=found.pk, user=actor_of(request), **given.validated_data
        )
        return Response(FormatSerializer(changed).data)

    def _check_missing(self, values: Mapping[str, Any], found: Format | None = None) -> None:
        if not operations.may_set_missing(values, self.request.user, found):
            raise exceptions.PermissionDenied(
                "To have a full list delete what it lacks takes the permission to delete many "
                "products at once."
            )

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
