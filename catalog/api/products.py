"""The API of the products."""

from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django.utils.functional import cached_property
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
    inline_serializer,
)
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.pagination import BasePagination
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from catalog.api.change_sets import ChangeSetSerializer
from catalog.api.openapi import OWN_FIELDS
from catalog.export import (
    XLSX,
    DoesNotFit,
    asked_layout,
    export_response,
    workbook_response,
)
from catalog.field_values import CHOICE_MAX_LENGTH, CHOICES_AT_MOST, SEPARATOR
from catalog.models import ChangeSet, Product
from catalog.operations import bulk, products
from catalog.queries import products as queries
from catalog.queries.fields import definitions, shown_values, with_keys
from catalog.queries.filters import (
    FILTERS,
    BadFilter,
    filtered_products,
    is_true,
)
from catalog.queries.own_filters import FILTER_MAX_LENGTH
from catalog.queries.pagination import ORDERINGS, check_ordering, get_page
from catalog.values import (
    DESCRIPTION_MAX_LENGTH,
    NAME_MAX_LENGTH,
    PRICE_DECIMAL_PLACES,
    PRICE_MAX_DIGITS,
    SKU_MAX_LENGTH,
)
from product_importer.common.actor import actor_of
from product_importer.common.api import (
    MAX_PAGE_SIZE,
    BrowsableRenderer,
    Busy,
    ErrorSerializer,
    HasPermission,
    JSONBoolean,
    JSONParser,
    Refusal,
    StreamRenderer,
    WholeNumber,
    asked_page_size,
    invalid,
    page_parameters,
    page_schema,
)
from product_importer.common.downloads import RETRY_SECONDS, TooManyDownloads
from product_importer.common.parsing import ROW_NUMBER, TEXT_MAX_LENGTH, whole_number

PAGE_SIZE = 50
VERSION_DIGITS = 9
PAGING = ("ordering", "page_size", "cursor", "format")
EXPORTS = ("export", "export_xlsx")
EXPORT_PARAMETERS = ("spreadsheet", "columns", "export_format", "currency", "format")


OWN_VALUES: dict[str, Any] = {  # catalog.api.openapi puts the fields that there are in its place
    "type": "object",
    OWN_FIELDS: True,
    "additionalProperties": {
        "oneOf": [
            {"type": "string", "maxLength": DESCRIPTION_MAX_LENGTH},
            {"type": "number"},
            {"type": "boolean"},
            {
                "type": "array",
                "items": {"type": "string", "maxLength": CHOICE_MAX_LENGTH},
                "maxItems": CHOICES_AT_MOST,
            },
        ],
        "nullable": True,
    },
    "example": {"brand": "Acme", "stock": 12},
}


class ProductSerializer(serializers.ModelSerializer[Product]):
    """``version`` counts a product's states; send it back (or ``If-Match``) to not overwrite."""

    class Meta:
        model = Product
        fields = [
            "id",
            "sku",
            "name",
            "description",
            "price",
            "active",
            "fields",
            "version",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["id", "created_at", "updated_at"]

    # The rules are the operation's, which forms and files share; these are for the answers.
    description = serializers.CharField()
    price = serializers.DecimalField(
        max_digits=PRICE_MAX_DIGITS,
        decimal_places=PRICE_DECIMAL_PLACES,
        allow_null=True,
        help_text="null: no price",
    )
    active = serializers.BooleanField()
    fields = serializers.SerializerMethodField("get_own_fields")  # type: ignore[assignment]
    version = serializers.IntegerField()

    @extend_schema_field(OWN_VALUES | {"description": "The catalogue's own fields by key."})
    def get_own_fields(self, product: Product) -> dict[str, Any]:
        keys = getattr(product, "own_keys", None)  # of a list
        return shown_values(product.own_fields, self._own_keys if keys is None else keys)

    @cached_property
    def _own_keys(self) -> list[str]:
        return list(definitions())

    def run_validation(self, data: Any = None) -> Any:
        """Leave the rules to the operation, which forms and files share."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("Send an object with the product's fields.")
        return data


def _text_or_number(**rules: Any) -> dict[str, Any]:
    return {"oneOf": [{"type": "string", **rules}, {"type": "number"}]}


# What catalog.operations.products.clean_values takes, as OpenAPI has it.
PRODUCT_VALUES: dict[str, Any] = {
    "sku": _text_or_number(minLength=1, maxLength=SKU_MAX_LENGTH)
    | {"description": "Unique without regard to case; trimmed."},
    "name": _text_or_number(minLength=1, maxLength=NAME_MAX_LENGTH) | {"description": "Trimmed."},
    "description": _text_or_number(maxLength=DESCRIPTION_MAX_LENGTH) | {"nullable": True},
    "price": {
        "oneOf": [
            {
                "type": "string",
                "pattern": r"^\s*(0*[0-9]{1,10}(\.[0-9]{1,2})?)?\s*$",
                "maxLength": TEXT_MAX_LENGTH,
            },
            {"type": "number", "minimum": 0, "exclusiveMaximum": True, "maximum": 10**10},
        ],
        "nullable": True,
        "example": "1299.00",
        "description": "Plain digits with at most two decimals; null or blank: no price.",
    },
    "active": {
        "oneOf": [
            {"type": "boolean"},
            {"type": "string", "maxLength": TEXT_MAX_LENGTH},
            {"type": "integer", "enum": [0, 1]},
        ],
        "nullable": True,
        "example": True,
        "description": "true or false (the words of a file do as well); null keeps it.",
    },
    "fields": OWN_VALUES
    | {"description": "Values of the catalogue's own fields by key; null takes one away."},
}
VERSION = {
    "oneOf": [
        {"type": "integer", "minimum": 0, "maximum": 999_999_999},
        {"type": "string", "maxLength": VERSION_DIGITS},
    ],
    "nullable": True,
    "description": "The version that you have seen: 409 if the product has moved on.",
}


def _values(*, required: bool, **more: Any) -> dict[str, Any]:
    """The body of a request that creates or changes a product."""
    body = {"type": "object", "properties": {**PRODUCT_VALUES, **more}}
    return {"application/json": body | ({"required": ["sku", "name"]} if required else {})}


class HistorySerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    action = serializers.CharField()
    actor = serializers.CharField(source="actor.username", default=None, allow_null=True)
    change_set = serializers.IntegerField(source="change_set.pk", default=None, allow_null=True)
    kind = serializers.CharField(source="change_set.kind", default=None, allow_null=True)
    changes = serializers.SerializerMethodField()

    def get_changes(self, entry: queries.HistoryEntry) -> dict[str, list[str | bool | None]]:
        def shown(value: Any) -> str | bool | None:
            if isinstance(value, list):
                return SEPARATOR.join(map(str, value))
            return value if value is None or isinstance(value, bool) else str(value)

        return {c.field: [shown(c.before), shown(c.after)] for c in entry.changes}


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


class ProductPagination(BasePagination):
    """Pages of ``catalog.queries.pagination``: any order, none slower than another."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        asked = request.query_params
        self.request = request
        try:
            self.page = get_page(
                queryset,
                ordering=check_ordering(asked.get("ordering", "")),
                size=asked_page_size(request, usual=PAGE_SIZE, limit=MAX_PAGE_SIZE),
                cursor=asked.get("cursor", ""),
            )
        except BadFilter as error:
            raise bad_filter(error) from error
        total = self.page.total
        self.count = queries.count_products(queryset) if total is None else total
        return self.page.rows

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "count": self.count,
                "next": self._link(self.page.next),
                "previous": self._link(self.page.previous),
                "results": data,
            }
        )

    def _link(self, cursor: str) -> str | None:
        here = self.request.build_absolute_uri()
        return replace_query_param(here, "cursor", cursor) if cursor else None

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        return page_parameters(usual=PAGE_SIZE, limit=MAX_PAGE_SIZE)

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        return page_schema(schema)


def bad_filter(error: BadFilter) -> serializers.ValidationError:
    """The API's 400 for filters and orders that there are not."""
    return invalid({name: ("invalid", text) for name, text in error.errors.items()})


class CSVRenderer(StreamRenderer):
    media_type = "text/csv"
    format = "csv"


class XLSXRenderer(StreamRenderer):
    media_type = XLSX
    format = "xlsx"


class UnfilteredRenderer(BrowsableRenderer):
    """No field of a form of filters lists the catalogue."""

    def get_filter_form(self, *args: Any, **options: Any) -> None:
        return None


_TEXT = {"type": "string", "maxLength": FILTER_MAX_LENGTH}
_DAY: dict[str, Any] = {  # an empty filter filters nothing, as a form sends it
    "anyOf": [
        {"type": "string", "format": "date", "maxLength": 10},
        {"type": "string", "maxLength": 0},
    ]
}
_FILTERS = [
    OpenApiParameter("q", _TEXT, description="SKU, name or description contains this, in any case"),
    OpenApiParameter("sku", _TEXT, description="contains this, in any case"),
    OpenApiParameter("name", _TEXT, description="contains this, in any case"),
    OpenApiParameter("description", _TEXT, description="contains this, in any case"),
    OpenApiParameter("active", bool),
    OpenApiParameter("price", {"type": "string", "enum": ["none"]}, description="without a price"),
    OpenApiParameter("price_min", _TEXT, description="costs this or more"),
    OpenApiParameter("price_max", _TEXT, description="costs this or less"),
    OpenApiParameter("changed_from", _DAY, description="changed last on this day or later"),
    OpenApiParameter("changed_to", _DAY, description="changed last on this day or earlier"),
    OpenApiParameter(
        "change_set", int, description="created or updated by the change set of this number"
    ),
    OpenApiParameter(
        "supplier", int, description="brought in by the supplier of this number: it created them"
    ),
]
_LAYOUT = [
    OpenApiParameter(
        "columns", _TEXT, description="the columns in their order, with commas: sku,price,brand"
    ),
    OpenApiParameter(
        "export_format",
        _TEXT,
        description="an export format by its name or number, in place of columns",
    ),
    OpenApiParameter(
        "currency",
        {"type": "string", "maxLength": 3},
        description="in three letters, where the format asks for one",
    ),
]
_IF_MATCH = OpenApiParameter(
    "If-Match",
    {"type": "string", "maxLength": TEXT_MAX_LENGTH},
    OpenApiParameter.HEADER,
    description="the version that you have seen",
)
_JSON: dict[str, Any] = {"pagination_class": None, "parser_classes": [JSONParser]}
_ETAG = OpenApiParameter(
    "ETag", str, OpenApiParameter.HEADER, response=[200, 201], description="the version, quoted"
)


@extend_schema_view(
    list=extend_schema(
        summary="The products",
        parameters=[
            *_FILTERS,
            OpenApiParameter(
                "ordering",
                str,
                enum=[f"{sign}{name}" for name in ORDERINGS for sign in ("", "-")],
                description="A minus turns the order round; fields.KEY is a field of your own.",
            ),
        ],
    ),
    retrieve=extend_schema(summary="One product", parameters=[_ETAG]),
    create=extend_schema(
        summary="Create a product", parameters=[_ETAG], request=_values(required=True)
    ),
    update=extend_schema(
        summary="Replace a product's values",
        parameters=[_IF_MATCH, _ETAG],
        request=_values(required=True, version=VERSION),
        responses={200: ProductSerializer, 409: ErrorSerializer},
    ),
    partial_update=extend_schema(
        summary="Change a product",
        parameters=[_IF_MATCH, _ETAG],
        request=_values(required=False, version=VERSION),
        responses={200: ProductSerializer, 409: ErrorSerializer},
    ),
    destroy=extend_schema(
        summary="Delete a product",
        parameters=[_IF_MATCH],
        responses={204: None, 409: ErrorSerializer},
    ),
)
class ProductViewSet(viewsets.ModelViewSet[Product]):
    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    pagination_class = ProductPagination
    filter_backends = []
    renderer_classes = [JSONRenderer, UnfilteredRenderer]
    lookup_value_regex = ROW_NUMBER
    permission_classes = [HasPermission]
    permissions_of = {
        "list": "catalog.view_product",
        "retrieve": "catalog.view_product",
        "history": "catalog.view_product",
        "create": "catalog.add_product",
        "update": "catalog.change_product",
        "partial_update": "catalog.change_product",
        "destroy": "catalog.delete_product",
        "export": "catalog.export_product",
        "export_xlsx": "catalog.export_product",
        "bulk_delete": "catalog.bulk_delete_product",
        "bulk_update": "catalog.change_product",
    }
    heavy_actions = ("bulk_delete", "bulk_update", *EXPORTS)

    def get_queryset(self) -> QuerySet[Product]:
        if self.action not in ("list", *EXPORTS):
            return Product.objects.all()
        also = PAGING if self.action == "list" else EXPORT_PARAMETERS
        try:
            products = filtered_products(self.request.query_params, also=also)
            return with_keys(products) if self.action == "list" else products
        except BadFilter as error:
            raise bad_filter(error) from error

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        data = getattr(answer, "data", None)
        if isinstance(data, dict) and "version" in data:
            answer["ETag"] = f'"{data["version"]}"'
        return answer

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        try:
            product = products.create_product(actor=actor_of(request), data=_object(request))
        except products.Invalid as error:
            raise invalid(error.errors) from error
        return Response(ProductSerializer(product).data, status=status.HTTP_201_CREATED)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        data = _object(request)
        version = _version(request, data)
        if not kwargs.get("partial"):
            missing = {
                name: ("required", "PUT replaces all values; use PATCH to change some.")
                for name in ("sku", "name")
                if name not in data
            }
            if missing:
                raise invalid(missing)
            data = {"description": "", "price": None, "active": True, **data}
            if isinstance(data.get("fields", {}), dict):
                data["fields"] = {**dict.fromkeys(definitions()), **data.get("fields", {})}
        product = self.get_object()
        try:
            product = products.update_product(
                product_id=product.pk, actor=actor_of(request), data=data, version=version
            )
        except products.Invalid as error:
            raise invalid(error.errors) from error
        except products.Conflict as error:
            raise Refusal(str(error)) from error
        except Product.DoesNotExist:
            raise exceptions.NotFound from None
        return Response(ProductSerializer(product).data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        product = self.get_object()
        try:
            products.delete_product(
                product_id=product.pk, actor=actor_of(request), version=_version(request, {})
            )
        except products.Conflict as error:
            raise Refusal(str(error)) from error
        except Product.DoesNotExist:
            raise exceptions.NotFound from None
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="What happened to a product, newest first",
        description="`complete` is false where older changes are no longer kept.",
        responses=inline_serializer(
            "ProductHistory",
            {
                "count": serializers.IntegerField(),
                "next": serializers.URLField(allow_null=True, help_text="null: this is all"),
                "previous": serializers.URLField(allow_null=True),
                "results": HistorySerializer(many=True),
                "complete": serializers.BooleanField(),
            },
        ),
    )
    @action(detail=True, pagination_class=None)
    def history(self, request: Request, pk: str) -> Response:
        history = queries.product_history(self.get_object())
        data = HistorySerializer(history.entries, many=True).data
        found = {"count": len(data), "next": None, "previous": None, "results": data}
        return Response({**found, "complete": history.complete})

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
        asked = serializer(data=_object(request))
        asked.is_valid(raise_exception=True)
        try:
            change_set = bulk.start_bulk_act(
                kind=kind,
                actor=actor_of(request),
                filters=asked.validated_data["filters"],
                ids=asked.validated_data.get("ids"),
                active=asked.validated_data.get("active"),
                own_field=asked.validated_data.get("own_field"),
            )
        except BadFilter as error:
            raise bad_filter(error) from error
        return Response(ChangeSetSerializer(change_set).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="The products as a CSV, as an import takes it or in an export format",
        parameters=[
            *_FILTERS,
            OpenApiParameter(
                "spreadsheet", bool, description="guard cells that a spreadsheet would run"
            ),
            *_LAYOUT,
        ],
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def export(self, request: Request) -> StreamingHttpResponse:
        try:
            safe = is_true("spreadsheet", request.query_params.get("spreadsheet", ""))
            layout = asked_layout(request.query_params)
        except BadFilter as error:
            raise bad_filter(error) from error
        try:
            return export_response(
                self.get_queryset(),
                spreadsheet=bool(safe),
                user_id=request.user.pk,
                layout=layout,
            )
        except TooManyDownloads as error:
            raise Busy(str(error), seconds=RETRY_SECONDS) from error

    @extend_schema(
        summary="The products as a workbook, as an import takes it or in an export format",
        parameters=[*_FILTERS, *_LAYOUT],
        responses={(200, XLSX): OpenApiResponse(OpenApiTypes.BINARY), 409: ErrorSerializer},
    )
    def export_xlsx(self, request: Request) -> StreamingHttpResponse:
        try:
            layout = asked_layout(request.query_params)
        except BadFilter as error:
            raise bad_filter(error) from error
        try:
            return workbook_response(self.get_queryset(), user_id=request.user.pk, layout=layout)
        except DoesNotFit as error:
            raise Refusal(str(error)) from error
        except TooManyDownloads as error:
            raise Busy(str(error), seconds=RETRY_SECONDS) from error


def _object(request: Request) -> dict[str, Any]:
    data = request.data
    if not isinstance(data, dict):
        raise serializers.ValidationError("Send a JSON object.")
    return {name: data[name] for name in data}


def _version(request: Request, data: dict[str, Any]) -> int | None:
    """The version that the caller has seen: ``If-Match`` or the field ``version``."""
    text = request.headers.get("If-Match", "").strip().removeprefix("W/").strip('"')
    if not text and data.get("version") is not None:
        text = str(data["version"])
    if text in ("", "*"):
        return None
    version = whole_number(text, digits=VERSION_DIGITS)
    if version is None:
        raise serializers.ValidationError(
            {"version": ["Send the product's version, as you read it: a whole number."]}
        )
    return version
