"""The API of the products: the list, one of them, and what happened to it."""

from typing import Any

from django.db.models import QuerySet
from django.template.loader import render_to_string
from django.utils.functional import cached_property
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
    inline_serializer,
)
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.api.bulk import BulkActions
from catalog.api.exports import EXPORT_PARAMETERS, EXPORTS, ExportActions
from catalog.api.product_openapi import (
    ETAG,
    IF_MATCH,
    OWN_VALUES,
    PRODUCT_FILTERS,
    VERSION,
    VERSION_DIGITS,
    body_of,
)
from catalog.api.product_pages import ProductPagination
from catalog.field_values import SEPARATOR
from catalog.models import Product
from catalog.operations import products
from catalog.queries import products as queries
from catalog.queries.filters import filtered_products
from catalog.queries.own_fields.fields import definitions, shown_values, with_keys
from catalog.queries.pagination import ORDERINGS
from catalog.values import PRICE_DECIMAL_PLACES, PRICE_MAX_DIGITS
from product_importer.common.actor import actor_of
from product_importer.common.api import (
    BrowsableRenderer,
    ErrorSerializer,
    HasPermission,
    asked_object,
)
from product_importer.common.errors import Invalid
from product_importer.common.parsing import ROW_NUMBER, whole_number

PAGING = ("ordering", "page_size", "cursor", "format")


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


class ProductRenderer(BrowsableRenderer):
    """The list's form has a field for each filter that is described; none lists the catalogue."""

    def get_filter_form(self, data: Any, view: Any, request: Request) -> str | None:
        if view.action != "list":
            return None
        asked = request.query_params
        fields = [(one.name, one.description, asked.get(one.name, "")) for one in PRODUCT_FILTERS]
        return render_to_string("rest_framework/product_filters.html", {"fields": fields})


@extend_schema_view(
    list=extend_schema(
        summary="The products",
        parameters=[
            *PRODUCT_FILTERS,
            OpenApiParameter(
                "ordering",
                str,
                enum=[f"{sign}{name}" for name in ORDERINGS for sign in ("", "-")],
                description="A minus turns the order round; fields.KEY is a field of your own.",
            ),
        ],
    ),
    retrieve=extend_schema(summary="One product", parameters=[ETAG]),
    create=extend_schema(
        summary="Create a product", parameters=[ETAG], request=body_of(required=True)
    ),
    update=extend_schema(
        summary="Replace a product's values",
        parameters=[IF_MATCH, ETAG],
        request=body_of(required=True, version=VERSION),
        responses={200: ProductSerializer, 409: ErrorSerializer},
    ),
    partial_update=extend_schema(
        summary="Change a product",
        parameters=[IF_MATCH, ETAG],
        request=body_of(required=False, version=VERSION),
        responses={200: ProductSerializer, 409: ErrorSerializer},
    ),
    destroy=extend_schema(
        summary="Delete a product",
        parameters=[IF_MATCH],
        responses={204: None, 409: ErrorSerializer},
    ),
)
class ProductViewSet(BulkActions, ExportActions, viewsets.ModelViewSet[Product]):
    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    pagination_class = ProductPagination
    filter_backends = []
    renderer_classes = [JSONRenderer, ProductRenderer]
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
        products = filtered_products(self.request.query_params, also=also)
        return with_keys(products) if self.action == "list" else products

    def finalize_response(self, request: Any, response: Any, *args: Any, **kwargs: Any) -> Any:
        answer = super().finalize_response(request, response, *args, **kwargs)
        data = getattr(answer, "data", None)
        if isinstance(data, dict) and "version" in data:
            answer["ETag"] = f'"{data["version"]}"'
        return answer

    def create(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        product = products.create_product(actor=actor_of(request), data=asked_object(request))
        return Response(ProductSerializer(product).data, status=status.HTTP_201_CREATED)

    def update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        data = asked_object(request)
        version = _version(request, data)
        if not kwargs.get("partial"):
            missing = {
                name: ("required", "PUT replaces all values; use PATCH to change some.")
                for name in ("sku", "name")
                if name not in data
            }
            if missing:
                raise Invalid(missing)
            data = {"description": "", "price": None, "active": True, **data}
            if isinstance(data.get("fields", {}), dict):
                data["fields"] = {**dict.fromkeys(definitions()), **data.get("fields", {})}
        product = self.get_object()
        try:
            product = products.update_product(
                product_id=product.pk, actor=actor_of(request), data=data, version=version
            )
        except Product.DoesNotExist:
            raise exceptions.NotFound from None
        return Response(ProductSerializer(product).data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        product = self.get_object()
        try:
            products.delete_product(
                product_id=product.pk, actor=actor_of(request), version=_version(request, {})
            )
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
