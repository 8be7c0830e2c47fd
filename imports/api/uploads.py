"""The API of direct uploads: a large file goes straight to the bucket, in parts."""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from imports.api.job import JobSerializer
from imports.api.jobs import JobOptionsSerializer
from imports.files.multipart import BucketAway
from imports.models import Upload, job_snapshot
from imports.operations import jobs, uploads
from product_importer.common.actor import actor_of
from product_importer.common.api import ErrorSerializer, HasPermission, Refusal, WholeNumber
from product_importer.common.parsing import ROW_NUMBER

MAX_SIGNED = 100  # addresses in one answer

# There are no direct uploads here; or it is complete already; or parts are missing. And: the
# bucket does not answer.
REFUSED = {409: ErrorSerializer, 503: ErrorSerializer}


class NoUpload(exceptions.APIException):
    """Says more than that nothing is there: what to do."""

    status_code = status.HTTP_404_NOT_FOUND
    default_code = "not_found"
    default_detail = (
        "There is no such upload of yours: it has expired or was cancelled. Start a new one."
    )


class MissingParts(Refusal):
    default_code = "parts_missing"


class StorageAway(exceptions.APIException):
    status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    default_code = "storage_unavailable"


class UploadSerializer(serializers.Serializer[Upload]):
    """An upload under way; ``arrived`` has the numbers of the parts that need not be sent again."""

    id = serializers.IntegerField(read_only=True)
    file_name = serializers.CharField(max_length=255)
    file_size = WholeNumber(min_value=1, max_value=2**63 - 1, help_text="bytes")
    part_size = serializers.IntegerField(
        read_only=True, help_text="bytes of each part; the last has the rest"
    )
    part_count = serializers.IntegerField(read_only=True)
    arrived = serializers.ListField(child=serializers.IntegerField(), read_only=True)
    job = serializers.IntegerField(
        source="job_id", read_only=True, allow_null=True, help_text="once it is complete"
    )
    expires_at = serializers.DateTimeField(read_only=True)


class PartsSerializer(serializers.Serializer[Any]):
    numbers = serializers.ListField(
        child=WholeNumber(min_value=1, max_value=uploads.MAX_PARTS),
        min_length=1,
        max_length=MAX_SIGNED,
        help_text="parts, from 1",
    )


class PartSerializer(serializers.Serializer[Any]):
    number = serializers.IntegerField()
    size = serializers.IntegerField(help_text="bytes, exactly")
    url = serializers.CharField(help_text="PUT the part's bytes here")


class SignedSerializer(serializers.Serializer[Any]):
    parts = PartSerializer(many=True)
    expires_in = serializers.IntegerField(help_text="seconds to begin to send them")


class UploadViewSet(viewsets.GenericViewSet[Upload]):
    """Whoever may import may upload, and reaches only his own uploads."""

    queryset = Upload.objects.none()
    serializer_class = UploadSerializer
    permission_classes = [HasPermission]
    permissions_of = dict.fromkeys(
        ("create", "retrieve", "destroy", "parts", "complete"), "imports.add_importjob"
    )
    filter_backends: list[Any] = []
    pagination_class = None
    lookup_value_regex = ROW_NUMBER

    def get_queryset(self) -> QuerySet[Upload]:
        if not (settings.UPLOADS_BUCKET and self.request.user.is_authenticated):
            return Upload.objects.none()
        mine = Upload.objects.filter(created_by=self.request.user, expires_at__gt=timezone.now())
        return mine.select_related("job")

    def handle_exception(self, exc: Exception) -> Response:
        """Tell in the API's words what uploads alone have."""
        if isinstance(exc, BucketAway):
            exc = StorageAway(str(exc))
        elif isinstance(exc, uploads.Gone):
            exc = NoUpload(str(exc))
        elif isinstance(exc, uploads.NotArrived):
            exc = MissingParts(str(exc))
        return super().handle_exception(exc)

    def _upload(self, pk: str) -> Upload:
        upload = self.get_queryset().filter(pk=int(pk)).first()
        if upload is None:
            raise NoUpload
        return upload

    @extend_schema(
        summary="Start to upload a large file straight to the bucket",
        description="Then send its parts to the addresses that `parts/` gives, and complete it. "
        "409 where no bucket is set: POST the file to `imports/` there.",
        responses={201: UploadSerializer, **REFUSED},
    )
    def create(self, request: Request) -> Response:
        asked = UploadSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            upload = uploads.create_upload(user=actor_of(request), **asked.validated_data)
        except uploads.Off:
            raise
        except jobs.Refused as error:
            raise serializers.ValidationError({"file_size": [str(error)]}) from error
        return _shown(upload, [], status=status.HTTP_201_CREATED)

    @extend_schema(
        summary="What of an upload has arrived",
        description="`arrived` has the numbers of the parts that need not be sent again.",
        responses={200: UploadSerializer, 503: ErrorSerializer},
    )
    def retrieve(self, request: Request, pk: str) -> Response:
        upload = self._upload(pk)
        return _shown(upload, uploads.arrived_parts(upload))

    @extend_schema(
        summary="Cancel an upload",
        description="Throws away what has arrived.",
        responses={204: None, **REFUSED},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        uploads.cancel_upload(upload=self._upload(pk))
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="Addresses to send parts to",
        description="PUT the bytes of a part, exactly `size` of them, to its address.",
        request=PartsSerializer,
        responses={200: SignedSerializer, **REFUSED},
    )
    @action(detail=True, methods=["post"])
    def parts(self, request: Request, pk: str) -> Response:
        upload = self._upload(pk)
        asked = PartsSerializer(data=request.data)
        asked.is_valid(raise_exception=True)
        try:
            urls = uploads.sign_parts(upload=upload, numbers=asked.validated_data["numbers"])
        except uploads.NoSuchPart as error:
            raise serializers.ValidationError({"numbers": [str(error)]}) from error
        parts = [
            {"number": number, "size": upload.size_of_part(number), "url": url}
            for number, url in urls.items()
        ]
        return Response({"parts": parts, "expires_in": uploads.URL_SECONDS})

    @extend_schema(
        summary="Complete an upload and import it; asked again, the same job",
        description="Whether the very same file was imported before is known when a worker has "
        "read it: see the job's `warnings` then. 409 with the code `parts_missing` while parts "
        "are missing.",
        request=JobOptionsSerializer,
        responses={202: JobSerializer, **REFUSED},
    )
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, pk: str) -> Response:
        upload = self._upload(pk)
        options = JobOptionsSerializer(data=request.data)
        options.is_valid(raise_exception=True)
        job = uploads.complete_upload(
            upload=upload, user=actor_of(request), **options.validated_data
        )
        return Response(job_snapshot(job), status=status.HTTP_202_ACCEPTED)


def _shown(upload: Upload, arrived: list[int], *, status: int = 200) -> Response:
    upload.arrived = arrived  # type: ignore[attr-defined]
    return Response(UploadSerializer(upload).data, status=status)
