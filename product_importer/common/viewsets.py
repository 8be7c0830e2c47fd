"""What the view sets of every app's API share.

Beside ``product_importer.common.api``, which settings of DRF name: those are read before its views.
"""

from collections.abc import Callable
from typing import Any

from rest_framework import status, viewsets
from rest_framework.request import Request
from rest_framework.response import Response

from product_importer.common.api import HasPermission, JSONParser, NewestFirst
from product_importer.common.parsing import ROW_NUMBER

# Comments in place of docstrings here: the schema would describe every call by them.


class JSONViewSet(viewsets.GenericViewSet[Any]):
    # JSON alone is taken, each act takes the permission that the view set names for it, and lists
    # begin with the newest.
    pagination_class: Any = NewestFirst
    parser_classes = [JSONParser]
    permission_classes = [HasPermission]
    lookup_value_regex = ROW_NUMBER


class ChangedByOperations:
    # PUT, PATCH and DELETE of a row, by the two operations that a view set names: one sets the
    # values that its serializer took, and returns the row; the other deletes it.
    get_object: Callable[[], Any]
    get_serializer: Callable[..., Any]

    def change_row(self, pk: int, values: dict[str, Any]) -> Any:
        raise NotImplementedError

    def delete_row(self, pk: int) -> None:
        raise NotImplementedError

    def update(self, request: Request, pk: str, *, partial: bool = False) -> Response:
        row = self.get_object()
        given = self.get_serializer(data=request.data, partial=partial)
        given.is_valid(raise_exception=True)
        changed = self.change_row(row.pk, dict(given.validated_data))
        return Response(self.get_serializer(changed).data)

    def partial_update(self, request: Request, pk: str) -> Response:
        return self.update(request, pk, partial=True)

    def destroy(self, request: Request, pk: str) -> Response:
        self.delete_row(self.get_object().pk)
        return Response(status=status.HTTP_204_NO_CONTENT)
