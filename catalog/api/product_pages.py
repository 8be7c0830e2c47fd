"""Pages of the list of products."""

from typing import Any

from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from catalog.queries import products as queries
from catalog.queries.pagination import check_ordering, get_page
from product_importer.common.api import (
    MAX_PAGE_SIZE,
    asked_page_size,
    page_parameters,
    page_schema,
)

PAGE_SIZE = 50


class ProductPagination(BasePagination):
    """Pages of ``catalog.queries.pagination``: any order, none slower than another."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        asked = request.query_params
        self.request = request
        self.page = get_page(
            queryset,
            ordering=check_ordering(asked.get("ordering", "")),
            size=asked_page_size(request, usual=PAGE_SIZE, limit=MAX_PAGE_SIZE),
            cursor=asked.get("cursor", ""),
        )
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
