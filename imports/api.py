"""The API of the imports."""

from collections.abc import Callable
from typing import Any

from django.db import connection
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
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from catalog.api import ChangeSetSerializer, Stale, bad_filter, check_may_undo
from catalog.filters import BadFilter
from imports import operations
from imports.live import event_stream
from imports.models import ImportJob, RowError, job_snapshot
from imports.rejects import rejects_response
from imports.review import FIELDS, FLAGS, MAX_PAGE_SIZE, NoReview, read_page, shown
from webhooks.api import CountedCursorPagination, HasPermission, NewestFirst


class NoRoom(exceptions.APIException):
    status_code = status.HTTP_507_INSUFFICIENT_STORAGE
    default_code = "no_room"


class JobSerializer(serializers.ModelSerializer[ImportJob]):
    class Meta:
        model = ImportJob
        fields = [
            "id",
            "status",
            "stage",
            "file_name",
            "file_size",
            "mode",
            "review",
            "total_records",
            "processed_records",
            "created",
            "updated",
            "unchanged",
            "superseded",
            "skipped",
            "rejected",
            "warnings",
            "error",
            "created_at",
            "started_at",
            "finished_at",
            "change_set",
        ]
        read_only_fields = fields

    warnings = serializers.ListField(child=serializers.CharField(), read_only=True)

    def to_representation(self, job: ImportJob) -> dict[str, Any]:
        return job_snapshot(job)


class JobOptionsSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField(
        choices=ImportJob.Mode.choices, default=ImportJob.Mode.UPSERT, help_text="What to write."
    )
    review = serializers.BooleanField(
        default=False, help_text="Wait before applying, and show what would change."
    )
    review_if_known = serializers.BooleanField(
        default=False, help_text="The same, if the very same file was imported before."
    )


class FileSerializer(JobOptionsSerializer):
    file = serializers.FileField(allow_empty_file=True, help_text="A CSV file.")


class RowErrorSerializer(serializers.ModelSerializer[RowError]):
    record = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = RowError
        fields = ["line", "column", "code", "message", "record"]


class DiffRowSerializer(serializers.Serializer[Any]):
    sku = serializers.CharField()
    line = serializers.IntegerField(help_text="of the record in the file")
    action = serializers.ChoiceField(choices=["created", "updated"])
    changes = serializers.DictField(
        child=serializers.ListField(), help_text="field: [before, after]"
    )


class DiffSerializer(serializers.Serializer[Any]):
    counts = serializers.DictField(child=serializers.IntegerField())
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.IntegerField(), help_text="how many updates change each field"
    )
    warnings = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField(help_text="that match the filters")
    next = serializers.CharField(allow_null=True)
    previous = serializers.CharField(allow_null=True)
    results = DiffRowSerializer(many=True)


class ByLine(CountedCursorPagination):
    page_size = 100
    max_page_size = 1000
    ordering = ("line", "id")


class EventStreamRenderer(BaseRenderer):
    """Lets clients ask for ``text/event-stream``; the stream itself is no rendered data."""

    media_type = "text/event-stream"
    format = "events"

    def render(self, data: Any, media_type: str | None = None, context: Any = None) -> bytes:
        return JSONRenderer().render(data)  # of an error, such as 404


@extend_schema_view(
    list=extend_schema(summary="The imports, newest first"),
    retrieve=extend_schema(summary="One import"),
)
class ImportViewSet(viewsets.ReadOnlyModelViewSet[ImportJob]):
    queryset = ImportJob.objects.all()
    serializer_class = JobSerializer
    pagination_class = NewestFirst
    parser_classes = [MultiPartParser, FormParser]
    permission_classes = [HasPermission]
    permissions_of = {
        "list": "imports.view_importjob",
        "retrieve": "imports.view_importjob",
        "events": "imports.view_importjob",
        "errors": "imports.view_importjob",
        "rejects": "imports.view_importjob",
        "create": "imports.add_importjob",
        "diff": "imports.view_importjob",
        "apply": "imports.add_importjob",
        "cancel": "imports.add_importjob",
        "retry": "imports.add_importjob",
        "undo": "imports.view_importjob",  # and undo_changeset or undo_others_changeset
    }
    lookup_value_regex = r"\d{1,18}"

    @extend_schema(
        summary="Upload a CSV and import it",
        request={"multipart/form-data": FileSerializer},
        responses={202: JobSerializer},
    )
    def create(self, request: Request) -> Response:
        upload = FileSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        file = upload.validated_data["file"]
        try:
            job = operations.start_import(
                file=file,
                file_name=file.name,
                user=_user(request),
                mode=upload.validated_data["mode"],
                review=upload.validated_data["review"],
                review_if_known=upload.validated_data["review_if_known"],
            )
        except operations.NoRoom as error:
            raise NoRoom(str(error)) from error
        except operations.Refused as error:
            raise serializers.ValidationError({"file": [str(error)]}) from error
        return Response(job_snapshot(job), status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="Live progress as Server-Sent Events",
        description="`event: progress` with the job as JSON, at most four a second; a comment "
        "every 15 s; ends after a final status.",
        responses={(200, "text/event-stream"): OpenApiTypes.STR},
    )
    @action(detail=True, renderer_classes=[EventStreamRenderer, JSONRenderer])
    def events(self, request: Request, pk: str) -> StreamingHttpResponse:
        job = self.get_object()
        connection.close()  # a stream may last for minutes, and must not keep a connection
        return StreamingHttpResponse(
            event_stream(job.pk),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    @extend_schema(summary="The refused records", responses=RowErrorSerializer(many=True))
    @action(detail=True, pagination_class=ByLine, serializer_class=RowErrorSerializer)
    def errors(self, request: Request, pk: str) -> Response:
        errors: Any = self.get_object().errors.all()
        page: Any = self.paginate_queryset(errors)
        return self.get_paginated_response(RowErrorSerializer(page, many=True).data)

    @extend_schema(
        summary="What a reviewed import would change, or has changed",
        description="`counts` are those of all records; `results` the created and updated products "
        "in the order of their SKUs.",
        parameters=[
            OpenApiParameter("action", str, enum=["created", "updated"]),
            OpenApiParameter("field", str, enum=list(FIELDS), description="updates of this field"),
            OpenApiParameter("flag", str, enum=list(FLAGS), description="what looks suspicious"),
            OpenApiParameter("page_size", int, description=f"1 to {MAX_PAGE_SIZE}"),
            OpenApiParameter("cursor", str, description="from next and previous"),
        ],
        responses=DiffSerializer,
    )
    @action(detail=True, pagination_class=None, filter_backends=[])
    def diff(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        try:
            page = read_page(job, request.query_params)
        except NoReview as error:
            raise Stale(str(error)) from error
        except BadFilter as error:
            raise bad_filter(error) from error

        def link(cursor: str) -> str | None:
            here = request.build_absolute_uri()
            return replace_query_param(here, "cursor", cursor) if cursor else None

        return Response(
            {
                "counts": job.shown["counts"],
                "fields": job.shown["fields"],
                "warnings": job.shown["warnings"],
                "count": page.count,
                "next": link(page.next),
                "previous": link(page.previous),
                "results": [
                    {
                        "sku": row.sku,
                        "line": row.line,
                        "action": row.action,
                        "changes": {
                            c.field: [shown(c.before), shown(c.after)] for c in row.changes
                        },
                    }
                    for row in page.rows
                ],
            }
        )

    @extend_schema(summary="Apply what was reviewed", request=None, responses={202: JobSerializer})
    @action(detail=True, methods=["post"], pagination_class=None)
    def apply(self, request: Request, pk: str) -> Response:
        return self._act(operations.apply_import, user=_user(request))

    @extend_schema(
        summary="Cancel an import; what it applied stays and can be undone",
        request=None,
        responses={202: JobSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def cancel(self, request: Request, pk: str) -> Response:
        return self._act(operations.cancel_import)

    @extend_schema(
        summary="Let a failed or cancelled import go on where it stopped",
        request=None,
        responses={202: JobSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def retry(self, request: Request, pk: str) -> Response:
        return self._act(operations.retry_import)

    def _act(self, operation: Callable[..., ImportJob], **options: Any) -> Response:
        try:
            job = operation(job_id=self.get_object().pk, **options)
        except operations.Refused as error:
            raise Stale(str(error)) from error
        return Response(job_snapshot(job), status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="Undo what an import did, in a worker",
        request=None,
        responses={202: ChangeSetSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def undo(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        if job.change_set is not None:
            check_may_undo(operations.may_undo(job, request.user))
        try:
            undo = operations.undo_import(job_id=job.pk, user=_user(request))
        except operations.Refused as error:
            raise Stale(str(error)) from error
        return Response(ChangeSetSerializer(undo).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="The refused records as a CSV, ready to mend and upload again",
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def rejects(self, request: Request, pk: int) -> StreamingHttpResponse:
        return rejects_response(self.get_object())


def _user(request: Request) -> Any:
    return request.user if request.user.is_authenticated else None
