"""The API of the change sets: what was changed, by whom, and undoing it."""

from typing import Any

from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from catalog.models import ChangeSet, UndoConflict
from catalog.operations import undo
from catalog.queries.products import listed_change_sets
from product_importer.common.actor import actor_of
from product_importer.common.api import (
    CountedCursorPagination,
    ErrorSerializer,
    HasPermission,
    NewestFirst,
)
from product_importer.common.parsing import ROW_NUMBER


class ChangeSetSerializer(serializers.ModelSerializer[ChangeSet]):
    """``total``: the products that a bulk act means; ``conflicts``: those an undo left alone."""

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
            "expired_at",
            "supplier",
        ]
        read_only_fields = fields

    actor = serializers.CharField(source="actor.username", default=None, allow_null=True)
    undoable = serializers.SerializerMethodField()
    undo_of = serializers.IntegerField(source="undo_of_id", allow_null=True)

    def get_undoable(self, change_set: ChangeSet) -> bool:
        return not undo.why_not(change_set)


class ConflictSerializer(serializers.ModelSerializer[UndoConflict]):
    """A product that an undo left alone; ``changed_by`` and ``change_set`` tell who and what."""

    class Meta:
        model = UndoConflict
        fields = ["product", "sku", "reason", "message", "change_set", "changed_by"]
        read_only_fields = fields

    product = serializers.IntegerField(source="product_id")
    message = serializers.CharField(source="get_reason_display")
    change_set = serializers.IntegerField(source="other_id", allow_null=True)
    changed_by = serializers.CharField(source="other.actor.username", default=None, allow_null=True)


class InOrder(CountedCursorPagination):
    page_size = 100
    max_page_size = 1000
    ordering = "id"


@extend_schema_view(
    list=extend_schema(summary="The change sets, newest first"),
    retrieve=extend_schema(summary="One change set"),
)
class ChangeSetViewSet(viewsets.ReadOnlyModelViewSet[ChangeSet]):
    queryset = listed_change_sets()
    serializer_class = ChangeSetSerializer
    pagination_class = NewestFirst
    lookup_value_regex = ROW_NUMBER
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
        responses={202: ChangeSetSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def undo(self, request: Request, pk: str) -> Response:
        change_set = self.get_object()
        check_may_undo(undo.may_undo(change_set, request.user))
        started = undo.start_undo(change_set_id=change_set.pk, actor=actor_of(request))
        return Response(ChangeSetSerializer(started).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="The products that an undo left alone, because somebody changed them since",
        responses=ConflictSerializer(many=True),
    )
    @action(detail=True, pagination_class=InOrder, serializer_class=ConflictSerializer)
    def conflicts(self, request: Request, pk: str) -> Response:
        kept: Any = self.get_object().kept.select_related("other__actor").defer("other__request")
        page: Any = self.paginate_queryset(kept)
        return self.get_paginated_response(ConflictSerializer(page, many=True).data)


def check_may_undo(allowed: bool) -> None:
    """Raise the API's 403 for somebody who may not undo this."""
    if not allowed:
        raise exceptions.PermissionDenied(
            "Your role does not allow to undo this. An editor can undo what he did himself, a "
            "manager what others did."
        )
