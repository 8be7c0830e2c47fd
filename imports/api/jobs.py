"""The API of the imports."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import (
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import exceptions, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.parsers import FormParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import replace_query_param

from catalog.api.change_sets import ChangeSetSerializer, check_may_undo
from imports.api.job import JobSerializer
from imports.api.mapping import MappingActions
from imports.mapping.rules import RulesError, parse_rules
from imports.models import INNER, ImportJob, RowError, job_snapshot
from imports.operations import jobs as operations
from imports.queries.formats import NoFormat, NoSupplier, find_format, find_supplier
from imports.queries.progress_stream import event_stream, viewer_of
from imports.queries.rejects import NotKept, check_kept, rejects_response
from imports.queries.review import (
    FILTERED,
    FLAGS,
    MAX_PAGE_SIZE,
    PAGE_SIZE,
    PERCENT_MAX_LENGTH,
    SORTS,
    read_page,
    shown,
)
from imports.queries.review import (
    TEXT_MAX_LENGTH as TEXT_LIMIT,
)
from product_importer.common.actor import actor_of
from product_importer.common.api import (
    CountedCursorPagination,
    ErrorSerializer,
    HasPermission,
    NewestFirst,
    StreamRenderer,
    page_parameters,
)
from product_importer.common.parsing import ROW_NUMBER, TEXT_MAX_LENGTH


class NoRoom(exceptions.APIException):
    status_code = status.HTTP_507_INSUFFICIENT_STORAGE
    default_code = "no_room"


class Gone(exceptions.APIException):
    status_code = status.HTTP_410_GONE
    default_code = "not_kept"


REVIEW = "Wait before applying, and show what would change."
REVIEW_IF_KNOWN = "The same, if the very same file was imported before."
FULL_LIST = (
    "The file is its supplier's whole list: products that the supplier brought in and that it "
    "lacks are deactivated, or what its format says. Without it, as the format says."
)
FILE_MODIFIED_AT = (
    "When the file was last changed where it comes from: its supplier's stop rules may say that it "
    "is too old."
)
CHECKS = (
    "What becomes of an import whose changes look unusual (damaged SKUs, prices that move "
    "tenfold or are taken away, other names): it waits at `awaiting_review` with the reasons in "
    "`warnings`, or goes on and warns."
)
_WORDS = [
    word
    for words in (serializers.BooleanField.TRUE_VALUES, serializers.BooleanField.FALSE_VALUES)
    for word in sorted(word for word in words if isinstance(word, str))
]


@extend_schema_field(
    {"oneOf": [{"type": "boolean"}, {"type": "string", "enum": _WORDS}], "default": False}
)
class Flag(serializers.BooleanField):
    """True or false, or a word for it."""


@extend_schema_field(
    {
        "type": "string",
        "pattern": f"^({'|'.join(_WORDS)})?$",
        "maxLength": max(map(len, _WORDS)),
        "default": "false",
    }
)
class FormFlag(Flag):
    """True or false in a form, where it is a word; a field that was left empty is false."""


@extend_schema_field(
    {"oneOf": [{"type": "boolean"}, {"type": "string", "enum": _WORDS}, {"type": "null"}]}
)
class MaybeFlag(serializers.BooleanField):
    """True, false, a word for it, or nothing."""


@extend_schema_field(
    {"type": "string", "pattern": f"^({'|'.join(_WORDS)})?$", "maxLength": max(map(len, _WORDS))}
)
class MaybeFormFlag(MaybeFlag):
    """The same in a form, where nothing is an empty word."""


RULES_MAX_LENGTH = 2_000_000  # characters: a table of values may have 10,000 words


@extend_schema_field({"type": "object", "additionalProperties": True})
class RulesField(serializers.JSONField):
    """Rules as JSON; in a form, its text."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return parse_rules(super().to_internal_value(data))
        except RulesError as error:
            raise serializers.ValidationError(error.problems) from error
        except RecursionError:
            raise serializers.ValidationError("The JSON nests too deep to be read.") from None


@extend_schema_field(
    {"type": "string", "contentMediaType": "application/json", "maxLength": RULES_MAX_LENGTH}
)
class FormRules(RulesField):
    """Rules in a form."""

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str) and len(data) > RULES_MAX_LENGTH:
            raise serializers.ValidationError(
                f"Rules of more than {RULES_MAX_LENGTH:,} characters are not taken."
            )
        return super().to_internal_value(data)


class FormatField(serializers.CharField):
    """A format by its id or its names."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        try:
            return find_format(super().run_validation(data))  # its bounds are those of a text
        except NoFormat as error:
            raise serializers.ValidationError(str(error), code="does_not_exist") from error


class SupplierField(serializers.CharField):
    """A supplier by its id or its name; blank: none is told."""

    def run_validation(self, data: Any = serializers.empty) -> Any:
        text = super().run_validation(data)
        try:
            return find_supplier(text) if text else None
        except NoSupplier as error:
            raise serializers.ValidationError(str(error), code="does_not_exist") from error


SUPPLIER = (
    "Whose file it is: a supplier's id or name. Without it, as the format says that it is read as."
)
FORMAT = "How the file is read: the id of a format, or SUPPLIER/FORMAT by name."
RULES = "How the file is read, before what the format says: docs/csv.md, “Rules”."


class JobOptionsSerializer(serializers.Serializer[Any]):
    mode = serializers.ChoiceField(
        choices=ImportJob.Mode.choices, default=ImportJob.Mode.UPSERT, help_text="What to write."
    )
    checks = serializers.ChoiceField(
        choices=ImportJob.Checks.choices, default=ImportJob.Checks.STOP, help_text=CHECKS
    )
    review = Flag(default=False, help_text=REVIEW)
    review_if_known = Flag(default=False, help_text=REVIEW_IF_KNOWN)
    full_list = MaybeFlag(required=False, allow_null=True, help_text=FULL_LIST)
    file_modified_at = serializers.DateTimeField(required=False, help_text=FILE_MODIFIED_AT)
    supplier = SupplierField(
        required=False, allow_blank=True, max_length=TEXT_MAX_LENGTH, help_text=SUPPLIER
    )
    format = FormatField(required=False, max_length=TEXT_MAX_LENGTH, help_text=FORMAT)
    rules = RulesField(required=False, help_text=RULES)
    on_unclear = serializers.ChoiceField(
        choices=["fail", "wait", "always"],
        default="fail",
        help_text="What becomes of a file that leaves a question open: it fails with the question "
        "as its error, or waits in awaiting_mapping; with always, every file waits there.",
    )


class FileSerializer(JobOptionsSerializer):
    review = FormFlag(default=False, help_text=REVIEW)
    review_if_known = FormFlag(default=False, help_text=REVIEW_IF_KNOWN)
    full_list = MaybeFormFlag(required=False, allow_null=True, help_text=FULL_LIST)
    rules = FormRules(required=False, binary=True, help_text=RULES)
    file = serializers.FileField(
        allow_empty_file=True,
        help_text="A CSV; or a workbook (.xlsx, .xlsm, .xlsb, .xls, .ods), gzip or ZIP with one.",
    )


class RowErrorSerializer(serializers.ModelSerializer[RowError]):
    """A refused record; ``column`` is blank where the whole record is meant."""

    record = serializers.ListField(
        child=serializers.CharField(),
        read_only=True,
        help_text="the cells as read, without blank ones at the end",
    )

    class Meta:
        model = RowError
        fields = ["line", "column", "code", "message", "record"]
        read_only_fields = fields


class DiffRowSerializer(serializers.Serializer[Any]):
    sku = serializers.CharField()
    line = serializers.IntegerField(
        allow_null=True, help_text="of the record in the file; null for what it lacks"
    )
    action = serializers.ChoiceField(choices=["created", "updated", "missing"])
    name = serializers.CharField(allow_blank=True)
    price_change = serializers.CharField(
        allow_null=True, help_text="in per cent with one decimal; from 0, `Infinity`"
    )
    left_out = serializers.BooleanField(help_text="applying skips it")
    changes = serializers.DictField(
        child=serializers.ListField(child=serializers.JSONField(), min_length=2, max_length=2),
        help_text="field: [before, after]",
    )


def _per_cent(move: Decimal | None) -> str | None:
    if move is None:
        return None
    return f"{move:.1f}" if move.is_finite() else "Infinity"


class DiffSerializer(serializers.Serializer[Any]):
    counts = serializers.DictField(child=serializers.IntegerField())
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.IntegerField(), help_text="how many updates change each field"
    )
    warnings = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField(help_text="that match the filters")
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    results = DiffRowSerializer(many=True)


class ByLine(CountedCursorPagination):
    page_size = 100
    max_page_size = 1000
    ordering = ("line", "id")


class EventStreamRenderer(StreamRenderer):
    media_type = "text/event-stream"
    format = "events"


@extend_schema_view(
    list=extend_schema(summary="The imports, newest first"),
    retrieve=extend_schema(summary="One import"),
)
class ImportViewSet(MappingActions, viewsets.ReadOnlyModelViewSet[ImportJob]):
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
        "mapping": "imports.view_importjob",
        "preview": "imports.add_importjob",
        "save_mapping": "imports.add_importjob",
        "apply": "imports.add_importjob",
        "cancel": "imports.add_importjob",
        "retry": "imports.add_importjob",
        "undo": "imports.view_importjob",  # and undo_changeset or undo_others_changeset
    }
    heavy_actions = ("create", "rejects", "undo")
    lookup_value_regex = ROW_NUMBER

    def get_queryset(self) -> QuerySet[ImportJob]:
        jobs = ImportJob.objects.all()
        return jobs.defer(*INNER) if self.action == "list" else jobs

    @extend_schema(
        summary="Upload a file and import it",
        request={"multipart/form-data": FileSerializer},
        responses={202: JobSerializer, 507: ErrorSerializer},
    )
    def create(self, request: Request) -> Response:
        upload = FileSerializer(data=request.data)
        upload.is_valid(raise_exception=True)
        options = dict(upload.validated_data)
        file = options.pop("file")
        try:
            job = operations.start_import(
                file=file, file_name=file.name, user=actor_of(request), **options
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
        responses={
            (200, "text/event-stream"): {
                "type": "object",
                "required": ["event", "data"],
                "properties": {
                    "event": {"type": "string", "enum": ["progress"]},
                    "data": {"type": "string", "description": "the job, as JSON"},
                },
            }
        },
    )
    @action(detail=True, renderer_classes=[EventStreamRenderer, JSONRenderer])
    def events(self, request: Request, pk: str) -> StreamingHttpResponse:
        job = self.get_object()
        return StreamingHttpResponse(
            event_stream(job.pk, viewer_of(request)),
            content_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
        )

    @extend_schema(
        summary="The refused records",
        description="At most 10,000 of them, and 32 MB; the job's `rejected` counts all, and "
        "`rejects.csv` has all.",
        responses={200: RowErrorSerializer(many=True), 410: ErrorSerializer},
    )
    @action(detail=True, pagination_class=ByLine, serializer_class=RowErrorSerializer)
    def errors(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        try:
            check_kept(job)
        except NotKept as error:
            raise Gone(str(error)) from error
        errors: Any = job.errors.all()
        page: Any = self.paginate_queryset(errors)
        return self.get_paginated_response(RowErrorSerializer(page, many=True).data)

    @extend_schema(
        summary="What a reviewed import would change, or has changed",
        description="`counts` are those of all records; `results` the created and updated products "
        "in the order of their SKUs.",
        parameters=[
            OpenApiParameter("action", str, enum=["created", "updated", "missing"]),
            OpenApiParameter(
                "field", str, enum=list(FILTERED), description="updates of this field"
            ),
            OpenApiParameter("flag", str, enum=list(FLAGS), description="what looks suspicious"),
            OpenApiParameter(
                "more_than",
                {"type": "string", "maxLength": PERCENT_MAX_LENGTH},
                description="prices that move by more per cent",
            ),
            OpenApiParameter(
                "q",
                {"type": "string", "maxLength": TEXT_LIMIT},
                description="in the SKU or the name, in any case",
            ),
            OpenApiParameter("left_out", str, enum=["yes", "no"], description="somebody did"),
            OpenApiParameter(
                "sort", str, enum=list(SORTS), description="by the change, those of prices only"
            ),
            *(
                OpenApiParameter(
                    parameter["name"],
                    parameter["schema"],
                    description=parameter["description"],
                )
                for parameter in page_parameters(usual=PAGE_SIZE, limit=MAX_PAGE_SIZE)
            ),
        ],
        responses={200: DiffSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, pagination_class=None, filter_backends=[])
    def diff(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        page = read_page(job, request.query_params)

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
                        "line": row.line if row.line > 0 else None,
                        "action": row.action,
                        "name": row.name,
                        "price_change": _per_cent(row.move),
                        "left_out": row.left_out,
                        "changes": {
                            c.field: [shown(c.before), shown(c.after)] for c in row.changes
                        },
                    }
                    for row in page.rows
                ],
            }
        )

    @extend_schema(
        summary="Apply what was reviewed",
        request=None,
        description="403 where its supplier is set to a second person, and you uploaded the file.",
        responses={202: JobSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def apply(self, request: Request, pk: str) -> Response:
        return self._act(operations.apply_import, user=actor_of(request))

    @extend_schema(
        summary="Cancel an import; what it applied stays and can be undone",
        request=None,
        responses={202: JobSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def cancel(self, request: Request, pk: str) -> Response:
        return self._act(operations.cancel_import, user=actor_of(request))

    @extend_schema(
        summary="Let a failed or cancelled import go on where it stopped",
        request=None,
        responses={202: JobSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def retry(self, request: Request, pk: str) -> Response:
        return self._act(operations.retry_import, user=actor_of(request))

    def _act(self, operation: Callable[..., ImportJob], **options: Any) -> Response:
        try:
            job = operation(job_id=self.get_object().pk, **options)
        except operations.SecondPerson as error:
            raise exceptions.PermissionDenied(str(error)) from error
        return Response(job_snapshot(job), status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="Undo what an import did, in a worker",
        request=None,
        responses={202: ChangeSetSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def undo(self, request: Request, pk: str) -> Response:
        job = self.get_object()
        if job.change_set is not None:
            check_may_undo(operations.may_undo(job, request.user))
        undo = operations.undo_import(job_id=job.pk, user=actor_of(request))
        return Response(ChangeSetSerializer(undo).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="The refused records as a CSV, ready to mend and upload again",
        responses={
            (200, "text/csv"): OpenApiResponse(OpenApiTypes.BINARY),
            410: ErrorSerializer,
        },
    )
    def rejects(self, request: Request, pk: int) -> StreamingHttpResponse:
        try:
            return rejects_response(self.get_object(), user_id=request.user.pk)
        except NotKept as error:
            raise Gone(str(error)) from error
