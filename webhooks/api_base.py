"""What the API of every app shares: permissions per action, and paging."""

from typing import Any

from rest_framework.pagination import CursorPagination
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response


class HasPermission(BasePermission):
    """The permission that a view names for its action; ``permissions_of`` maps actions to them."""

    message = "Your role does not allow this. A manager can give you one that does."

    def has_permission(self, request: Request, view: Any) -> bool:
        if getattr(view, "action", None) is None or view.action == "metadata":
            return bool(request.user and request.user.is_authenticated)  # 405, or OPTIONS
        return bool(request.user and request.user.has_perm(view.permissions_of[view.action]))


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


class NewestFirst(CountedCursorPagination):
    page_size = 50
    max_page_size = 200
    ordering = "-id"
