"""The API of the catalogue."""

from typing import Any

from django_filters.rest_framework import DjangoFilterBackend
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers, viewsets
from rest_framework.filters import OrderingFilter
from rest_framework.pagination import CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.filters import ProductFilter
from catalog.models import Product


class ProductSerializer(serializers.ModelSerializer[Product]):
    class Meta:
        model = Product
        fields = [
            "id",
            "sku",
            "name",
            "description",
            "price",
            "active",
            "created_at",
            "updated_at",
        ]


class CountedCursorPagination(CursorPagination):
    """Keyset paging, so that the ten-thousandth page costs what the first does, with ``count``."""

    page_size_query_param = "page_size"

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> Any:
        self.count = queryset.order_by().count()
        return super().paginate_queryset(queryset, request, view)

    def get_paginated_response(self, data: Any) -> Response:
        return Response(
            {
                "count": self.count,
                "next": self.get_next_link(),
                "previous": self.get_previous_link(),
                "results": data,
            }
        )

    def get_paginated_response_schema(self, schema: Any) -> Any:
        described = super().get_paginated_response_schema(schema)
        described["properties"]["count"] = {"type": "integer"}
        return described


class ProductPagination(CountedCursorPagination):
    page_size = 50
    max_page_size = 200
    ordering = "id"


@extend_schema_view(
    list=extend_schema(summary="The products"), retrieve=extend_schema(summary="One product")
)
class ProductViewSet(viewsets.ReadOnlyModelViewSet[Product]):
    queryset = Product.objects.all()
    serializer_class = ProductSerializer
    pagination_class = ProductPagination
    filter_backends = [DjangoFilterBackend, OrderingFilter]
    filterset_class = ProductFilter
    ordering_fields = ["id", "sku", "name", "price", "active", "created_at", "updated_at"]
    ordering = ["id"]
    lookup_value_regex = r"\d{1,18}"
