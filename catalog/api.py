"""The API of the catalogue."""

from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_view,
)
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.pagination import BasePagination
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from catalog import bulk, operations, queries, undo
from catalog.export import export_response
from catalog.filters import BadFilter, filtered_products
from catalog.models import ChangeSet, Product, UndoConflict
from catalog.paging import ORDERINGS, check_ordering, get_page
from webhooks.api import CountedCursorPagination, HasPermission, NewestFirst

PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
PAGING = ("ordering", "page_size", "cursor", "format")


class Stale(exceptions.APIException):
    status_code = status.HTTP_409_CONFLICT
    default_code = "conflict"


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
            "version",
            "created_at",
            "updated_at",
        ]
        read_only_fields = ["id", "created_at", "updated_at"]

    version = serializers.IntegerField(required=False)

    def run_validation(self, data: Any = None) -> Any:
        """Leave the rules to the operation, which forms and files share."""
        if not isinstance(data, dict):
            raise serializers.ValidationError("Send an object with the product's fields.")
        return data


class ChangeSetSerializer(serializers.ModelSerializer[ChangeSet]):
    class Meta:
        model = ChangeSet
        fields = [
            "id",
            "kind",
            "status",
            "actor",
            "created",
            "updated",
            "deleted",
            "total",
            "error",
            "undoable",
            "undo_of",
            "conflicts",
            "created_at",
            "finished_at",
        ]
        read_only_fields = fields

    actor = serializers.CharField(source="actor.username", default=None)
    undoable = serializers.SerializerMethodField()
    undo_of = serializers.IntegerField(source="undo_of_id", allow_null=True)

    def get_undoable(self, change_set: ChangeSet) -> bool:
        return not undo.why_not(change_set)


class ConflictSerializer(serializers.ModelSerializer[UndoConflict]):
    """A product that an undo left alone; ``changed_by`` and ``change_set`` tell who and what."""

    class Meta:
        model = UndoConflict
        fields = ["product", "sku", "reason", "message", "change_set", "changed_by"]

    product = serializers.IntegerField(source="product_id")
    message = serializers.CharField(source="get_reason_display")
    change_set = serializers.IntegerField(source="other_id", allow_null=True)
    changed_by = serializers.CharField(source="other.actor.username", default=None)


class HistorySerializer(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    action = serializers.CharField()
    actor = serializers.CharField(source="actor.username", default=None)
    change_set = serializers.IntegerField(source="change_set.pk", default=None)
    kind = serializers.CharField(source="change_set.kind", default=None)
    changes = serializers.SerializerMethodField()

    def get_changes(self, entry: queries.HistoryEntry) -> dict[str, list[str | bool | None]]:
        def shown(value: Any) -> str | bool | None:
            return value if value is None or isinstance(value, bool) else str(value)

        return {c.field: [shown(c.before), shown(c.after)] for c in entry.changes}


class BulkSerializer(serializers.Serializer[Any]):
    confirm = serializers.BooleanField(default=False, help_text="Nothing happens without true.")
    filters = serializers.DictField(
        default=dict, help_text="As the list takes them; without any, all products are meant."
    )
    ids = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=2**63 - 1),
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


class BulkUpdateSerializer(BulkSerializer):
    active = serializers.BooleanField()


class ProductPagination(BasePagination):
    """Pages of ``catalog.paging``: any order, none slower than another."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        asked = request.query_params
        self.request = request
        try:
            size = int(asked.get("page_size") or PAGE_SIZE)
            size = max(1, min(size, MAX_PAGE_SIZE))
        except ValueError:
            raise bad_filter(BadFilter({"page_size": "Write a number from 1 to 200."})) from None
        try:
            self.page = get_page(
                queryset,
                ordering=check_ordering(asked.get("ordering", "")),
                size=size,
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

    def get_paginated_response_schema(self, schema: Any) -> Any:
        link = {"type": "string", "nullable": True, "format": "uri"}
        return {
            "type": "object",
            "required": ["count", "next", "previous", "results"],
            "properties": {
                "count": {"type": "integer"},
                "next": link,
                "previous": link,
                "results": schema,
            },
        }


def bad_filter(error: BadFilter) -> serializers.ValidationError:
    return serializers.ValidationError({name: [text] for name, text in error.errors.items()})


class CSVRenderer(BaseRenderer):
    """Lets clients ask for ``text/csv``; the stream itself is no rendered data."""

    media_type = "text/csv"
    format = "csv"

    def render(self, data: Any, media_type: str | None = None, context: Any = None) -> bytes:
        return JSONRenderer().render(data)  # of an error, such as 400


class RawFormRenderer(BrowsableAPIRenderer):
    """The browsable API with its raw form alone: no form field lists the catalogue."""

    def get_rendered_html_form(self, *args: Any, **options: Any) -> None:
        return None

    def get_filter_form(self, *args: Any, **options: Any) -> None:
        return None


_FILTERS = [
    OpenApiParameter("q", str, description="SKU, name or description contains this, in any case"),
    OpenApiParameter("sku", str, description="contains this, in any case"),
    OpenApiParameter("name", str, description="contains this, in any case"),
    OpenApiParameter("description", str, description="contains this, in any case"),
    OpenApiParameter("active", bool),
]
_IF_MATCH = OpenApiParameter(
    "If-Match", str, OpenApiParameter.HEADER, description="the version that you have seen"
)


@extend_schema_view(
    list=extend_schema(
        summary="The products",
        parameters=[
            *_FILTERS,
            OpenApiParameter("ordering", str, description=f"{', '.join(ORDERINGS)}; - turns round"),
            OpenApiParameter("page_size", int, description="1 to 200"),
            OpenApiParameter("cursor", str, description="from next and previous"),
        ],
    ),
    retrieve=extend_schema(summary="One product"),
    create=extend_schema(summary="Create a product"),
    update=extend_schema(summary="Replace a product's values", parameters=[_IF_MATCH]),
    partial_update=extend_schema(summary="Change a product", parameters=[_IF_MATCH]),
    destroy=extend_schema(summary="Delete a product", parameters=[_IF_MATCH]),
)
class ProductViewSet(viewsets.ModelViewSet[Product]):
    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    pagination_class = ProductPagination
    filter_backends = []
    renderer_classes = [JSONRenderer, RawFormRenderer]
    lookup_value_regex = r"\d{1,18}"
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
        "bulk_delete": "catalog.bulk_delete_product",
        "bulk_update": "catalog.change_product",
    }
    heavy_actions = ("bulk_delete", "bulk_update", "export")

    def get_queryset(self) -> QuerySet[Product]:
        if self.action not in ("list", "export"):
            return Product.objects.all()
        also = PAGING if self.action == "list" else ("spreadsheet", "format")
        try:
            return filtered_products(self.request.query_params, also=also)
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
            product = operations.create_product(actor=_actor(request), data=_object(request))
        except operations.Invalid as error:
            raise _invalid(error) from error
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
                raise _invalid(operations.Invalid(missing))
            data = {"description": "", "price": None, "active": True, **data}
        product = self.get_object()
        try:
            product = operations.update_product(
                product_id=product.pk, actor=_actor(request), data=data, version=version
            )
        except operations.Invalid as error:
            raise _invalid(error) from error
        except operations.Conflict as error:
            raise Stale(str(error)) from error
        except Product.DoesNotExist:
            raise exceptions.NotFound from None
        return Response(ProductSerializer(product).data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        product = self.get_object()
        try:
            operations.delete_product(
                product_id=product.pk, actor=_actor(request), version=_version(request, {})
            )
        except operations.Conflict as error:
            raise Stale(str(error)) from error
        except Product.DoesNotExist:
            raise exceptions.NotFound from None
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="What happened to a product, newest first",
        responses=HistorySerializer(many=True),
    )
    @action(detail=True, pagination_class=None)
    def history(self, request: Request, pk: str) -> Response:
        entries = queries.product_history(self.get_object())
        data = HistorySerializer(entries, many=True).data
        return Response({"count": len(data), "next": None, "previous": None, "results": data})

    @extend_schema(
        summary="Delete all products that match, in a worker",
        request=BulkSerializer,
        responses={202: ChangeSetSerializer},
    )
    @action(detail=False, methods=["post"], url_path="bulk-delete", pagination_class=None)
    def bulk_delete(self, request: Request) -> Response:
        return self._bulk(request, BulkSerializer, ChangeSet.Kind.BULK_DELETE)

    @extend_schema(
        summary="Activate or deactivate all products that match, in a worker",
        request=BulkUpdateSerializer,
        responses={202: ChangeSetSerializer},
    )
    @action(detail=False, methods=["post"], url_path="bulk-update", pagination_class=None)
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
                actor=_actor(request),
                filters=asked.validated_data["filters"],
                ids=asked.validated_data.get("ids"),
                active=asked.validated_data.get("active"),
            )
        except BadFilter as error:
            raise bad_filter(error) from error
        return Response(ChangeSetSerializer(change_set).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="The products as a CSV that an import takes",
        parameters=[
            *_FILTERS,
            OpenApiParameter(
                "spreadsheet", bool, description="guard cells that a spreadsheet would run"
            ),
        ],
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def export(self, request: Request) -> StreamingHttpResponse:
        safe = request.query_params.get("spreadsheet", "").lower() in ("1", "true", "yes")
        return export_response(self.get_queryset(), spreadsheet=safe)


class InOrder(CountedCursorPagination):
    page_size = 100
    max_page_size = 1000
    ordering = "id"


@extend_schema_view(
    list=extend_schema(summary="The change sets, newest first"),
    retrieve=extend_schema(summary="One change set"),
)
class ChangeSetViewSet(viewsets.ReadOnlyModelViewSet[ChangeSet]):
    queryset = ChangeSet.objects.select_related("actor").prefetch_related("undos__undos")
    serializer_class = ChangeSetSerializer
    pagination_class = NewestFirst
    lookup_value_regex = r"\d{1,18}"
    permission_classes = [HasPermission]
    permissions_of = {
        "list": "catalog.view_changeset",
        "retrieve": "catalog.view_changeset",
        "undo": "catalog.view_changeset",  # and undo_changeset or undo_others_changeset
        "conflicts": "catalog.view_changeset",
    }
    heavy_actions = ("undo",)

    @extend_schema(
        summary="Undo a change set, in a worker",
        request=None,
        responses={202: ChangeSetSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def undo(self, request: Request, pk: str) -> Response:
        change_set = self.get_object()
        check_may_undo(undo.may_undo(change_set, request.user))
        try:
            started = undo.start_undo(change_set_id=change_set.pk, actor=_actor(request))
        except undo.NotUndoable as error:
            raise Stale(str(error)) from error
        return Response(ChangeSetSerializer(started).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="The products that an undo left alone, because somebody changed them since",
        responses=ConflictSerializer(many=True),
    )
    @action(detail=True, pagination_class=InOrder, serializer_class=ConflictSerializer)
    def conflicts(self, request: Request, pk: str) -> Response:
        kept: Any = self.get_object().kept.select_related("other__actor")
        page: Any = self.paginate_queryset(kept)
        return self.get_paginated_response(ConflictSerializer(page, many=True).data)


def check_may_undo(allowed: bool) -> None:
    """Raise the API's 403 for somebody who may not undo this."""
    if not allowed:
        raise exceptions.PermissionDenied(
            "Your role does not allow to undo this. An editor can undo what he did himself, a "
            "manager what others did."
        )


def _actor(request: Request) -> Any:
    return request.user if request.user.is_authenticated else None


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
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise serializers.ValidationError(
            {"version": ["Send the product's version, as you read it: a whole number."]}
        )
    return int(text)


def _invalid(error: operations.Invalid) -> serializers.ValidationError:
    return serializers.ValidationError(
        {
            name: [exceptions.ErrorDetail(text, code=code)]
            for name, (code, text) in error.errors.items()
        }
    )
