"""The API of the imports."""

from typing import Any

from django.db import connection
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from imports import operations
from imports.live import event_stream
from imports.models import ImportJob, RowError, job_snapshot
from imports.rejects import rejects_response
from webhooks.api import CountedCursorPagination, HasPermission, NewestFirst


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


class UploadSerializer(serializers.Serializer[Any]):
    file = serializers.FileField(allow_empty_file=True, help_text="A CSV file.")
    mode = serializers.ChoiceField(
        choices=ImportJob.Mode.choices, default=ImportJob.Mode.UPSERT, help_text="What to write."
    )
    review = serializers.BooleanField(default=False, help_text="Not offered yet.")

    def validate_review(self, wanted: bool) -> bool:
        """Applying at once what somebody wanted to look at first would be the worst answer."""
        if wanted:
            raise serializers.ValidationError(
                "This version cannot hold an import back for review. Upload the file without "
                "“review” to apply it at once."
            )
        return wanted


class RowErrorSerializer(serializers.ModelSerializer[RowError]):
    record = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = RowError
        fields = ["line", "column", "code", "message", "record"]


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
    }
    lookup_value_regex = r"\d{1,18}"

    @extend_schema(
        summary="Upload a CSV and import it",
        request={"multipart/form-data": UploadSerializer},
        responses={202: JobSerializer},
    )
    def create(self, request: Request) -> Response:
        upload = UploadSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        file = upload.validated_data["file"]
        try:
            job = operations.start_import(
                file=file,
                file_name=file.name,
                user=request.user if request.user.is_authenticated else None,
                mode=upload.validated_data["mode"],
            )
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
        summary="The refused records as a CSV, ready to mend and upload again",
        responses={(200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY)},
    )
    def rejects(self, request: Request, pk: int) -> StreamingHttpResponse:
        return rejects_response(self.get_object())
