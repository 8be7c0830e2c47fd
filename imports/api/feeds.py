"""The API of the feeds and their runs."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import (
    OpenApiParameter,
    extend_schema,
    extend_schema_field,
    extend_schema_view,
)
from rest_framework import serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from imports.models import CREDENTIAL_MAX_LENGTH, NAME_MAX_LENGTH, Feed, FeedRun
from imports.operations.feeds import feeds as operations
from imports.operations.feeds.trial import test_feed
from imports.queries.feeds import (
    DAYS,
    due_times,
    listed_feeds,
    listed_runs,
    tell_jobs,
    with_runs,
)
from imports.schedule import MAX_LENGTH, ZONE_MAX_LENGTH
from product_importer.common.actor import actor_of
from product_importer.common.address_guard import MAX_LENGTH as URL_MAX_LENGTH
from product_importer.common.api import ErrorSerializer, JSONBoolean, JSONText, WholeNumber
from product_importer.common.parsing import whole_number
from product_importer.common.viewsets import JSONViewSet

TIMES = 50  # of what is due of one feed
OUTCOMES = ("running", "applied", "unchanged", "waiting", "failed", "stopped")


class FeedRunSerializer(serializers.ModelSerializer[FeedRun]):
    class Meta:
        model = FeedRun
        fields = [
            "id",
            "at",
            "due_at",
            "finished_at",
            "outcome",
            "code",
            "message",
            "import",
            "file_name",
            "bytes",
            "tries",
            "next_try_at",
        ]
        read_only_fields = fields

    outcome = serializers.ChoiceField(
        choices=OUTCOMES,
        read_only=True,
        help_text="of the fetch, and then of the import that it came to: docs/feeds.md",
    )
    message = serializers.CharField(source="reason", read_only=True, help_text="what happened")
    due_at = serializers.DateTimeField(
        read_only=True, allow_null=True, help_text="null: somebody asked for it"
    )


# “import” is a word of Python's.
FeedRunSerializer._declared_fields["import"] = serializers.IntegerField(
    source="job_id", read_only=True, allow_null=True, help_text="the import that it came to"
)


class SecretText(JSONText):
    """Written, never read again."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            write_only=True,
            required=False,
            allow_null=True,
            allow_blank=True,
            max_length=operations.SECRET_MAX_LENGTH,
            trim_whitespace=False,
            **options,
        )


class FeedSerializer(serializers.ModelSerializer[Feed]):
    class Meta:
        model = Feed
        fields = [
            "id",
            "name",
            "supplier",
            "format",
            "url",
            "username",
            "password",
            "private_key",
            "headers",
            "secrets",
            "pattern",
            "schedule",
            "time_zone",
            "full_list",
            "enabled",
            "disabled_reason",
            "host_key",
            "last_run",
            "next_run_at",
            "overdue_at",
            "created_at",
        ]
        read_only_fields = ["id", "disabled_reason", "next_run_at", "created_at"]

    name = JSONText(max_length=NAME_MAX_LENGTH)
    supplier = WholeNumber(source="supplier_id", min_value=1, max_value=2**63 - 1)
    format = WholeNumber(
        source="format_id",
        min_value=1,
        max_value=2**63 - 1,
        required=False,
        allow_null=True,
        help_text="null: the file is recognised by its columns",
    )
    url = JSONText(
        max_length=URL_MAX_LENGTH, help_text=f"begins with {', '.join(operations.SCHEMES)}"
    )
    username = JSONText(max_length=CREDENTIAL_MAX_LENGTH, required=False, allow_blank=True)
    password = SecretText(help_text="written, never read again; null leaves it, blank clears it")
    private_key = SecretText(help_text="of SFTP, as text; so too")
    headers = serializers.DictField(
        child=JSONText(max_length=operations.SECRET_MAX_LENGTH, allow_blank=True),
        write_only=True,
        required=False,
        allow_null=True,
        help_text="sent with each request of HTTP; so too, and {} clears them",
    )
    secrets = serializers.ListField(
        source="secrets_set",
        child=serializers.ChoiceField(choices=["password", "private_key", "headers"]),
        read_only=True,
        help_text="which of the three there are",
    )
    pattern = JSONText(
        max_length=NAME_MAX_LENGTH,
        required=False,
        allow_blank=True,
        help_text="of a folder, the newest file that is called like this: prices-*.csv",
    )
    schedule = JSONText(max_length=MAX_LENGTH, help_text="in words, or a cron line: docs/feeds.md")
    time_zone = JSONText(
        max_length=ZONE_MAX_LENGTH, required=False, help_text="such as Europe/Berlin"
    )
    full_list = JSONBoolean(required=False)
    enabled = JSONBoolean(required=False)
    host_key = JSONText(
        required=False,
        allow_blank=True,
        max_length=5_000,
        help_text="of an SFTP server, from the first fetch on; blank has the next one taken",
    )
    last_run = serializers.SerializerMethodField()
    overdue_at = serializers.DateTimeField(
        read_only=True,
        allow_null=True,
        help_text="since when it is known that no new file comes as expected; null: it does",
    )

    @extend_schema_field(FeedRunSerializer(allow_null=True))
    def get_last_run(self, feed: Feed) -> Any:
        last: FeedRun | None = getattr(feed, "last_run", None)
        return FeedRunSerializer(last).data if last is not None else None


class DueSerializer(serializers.Serializer[Any]):
    """When a feed is due in the next days."""

    feed = serializers.IntegerField(source="feed.pk")
    name = serializers.CharField(source="feed.name")
    supplier = serializers.IntegerField(source="feed.supplier_id")
    times = serializers.ListField(
        child=serializers.DateTimeField(), help_text=f"the first {TIMES} of them"
    )
    more = serializers.IntegerField(help_text="that are not among them")


class EntrySerializer(serializers.Serializer[Any]):
    name = serializers.CharField()
    size = serializers.IntegerField(allow_null=True, help_text="in bytes")
    modified = serializers.CharField(help_text="as the server writes it", allow_blank=True)


class TestSerializer(serializers.Serializer[Any]):
    """What is there, and how it would be read."""

    error = serializers.CharField(
        allow_blank=True, help_text="why it cannot be fetched or read; blank: it can"
    )
    code = serializers.CharField(allow_blank=True, help_text="the same for programs")
    name = serializers.CharField(allow_blank=True, help_text="of the file that would be fetched")
    size = serializers.IntegerField(allow_null=True, help_text="in bytes, where the server tells")
    entries = EntrySerializer(many=True, help_text="of a folder, its newest files")
    more_entries = serializers.IntegerField(help_text="that are not among them")
    read = serializers.DictField(
        help_text="as in an import's mapping: rules, questions, columns, notes, preview, format; "
        "empty if it cannot be read"
    )


@extend_schema_view(
    list=extend_schema(
        summary="The feeds, newest first",
        parameters=[OpenApiParameter("supplier", int, description="those of one supplier")],
    ),
    retrieve=extend_schema(summary="One feed"),
)
class FeedViewSet(JSONViewSet, viewsets.ReadOnlyModelViewSet[Feed]):
    queryset = Feed.objects.all()
    serializer_class = FeedSerializer
    permissions_of = {
        "list": "imports.view_feed",
        "retrieve": "imports.view_feed",
        "runs": "imports.view_feed",
        "due": "imports.view_feed",
        "create": "imports.add_feed",
        "update": "imports.change_feed",
        "partial_update": "imports.change_feed",
        "destroy": "imports.delete_feed",
        "run": "imports.run_feed",
        "test": "imports.run_feed",
    }
    heavy_actions = ("test",)

    def get_queryset(self) -> QuerySet[Feed]:
        feeds = listed_feeds()
        if self.action == "list" and (text := self.request.query_params.get("supplier")):
            number = whole_number(text)
            if number is None:
                raise serializers.ValidationError({"supplier": ["Write the id of a supplier."]})
            return feeds.filter(supplier=number)
        return feeds

    def list(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(FeedSerializer(_told(page), many=True).data)

    def retrieve(self, request: Request, pk: str) -> Response:
        return _answer(self.get_object())

    @extend_schema(summary="Make a feed", responses={201: FeedSerializer})
    def create(self, request: Request) -> Response:
        given = FeedSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        feed = operations.create_feed(user=actor_of(request), **given.validated_data)
        return _answer(feed, status.HTTP_201_CREATED)

    @extend_schema(summary="Change a feed", responses=FeedSerializer)
    def update(self, request: Request, pk: str, *, partial: bool = False) -> Response:
        given = FeedSerializer(data=request.data, partial=partial)
        given.is_valid(raise_exception=True)
        changes = given.validated_data
        feed_id = self.get_object().pk
        feed = operations.update_feed(feed_id=feed_id, user=actor_of(request), **changes)
        return _answer(feed)

    @extend_schema(summary="Change some fields of a feed", responses=FeedSerializer)
    def partial_update(self, request: Request, pk: str) -> Response:
        return self.update(request, pk, partial=True)

    @extend_schema(
        summary="Delete a feed with its runs; its imports stay",
        responses={204: None, 409: ErrorSerializer},
    )
    def destroy(self, request: Request, pk: str) -> Response:
        operations.delete_feed(feed_id=self.get_object().pk)
        return Response(status=status.HTTP_204_NO_CONTENT)

    @extend_schema(
        summary="Fetch now; the run that is under way, if there is one",
        request=None,
        responses={202: FeedRunSerializer},
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def run(self, request: Request, pk: str) -> Response:
        run = operations.ask_for_run(feed_id=self.get_object().pk, user=actor_of(request))
        return Response(FeedRunSerializer(run).data, status=status.HTTP_202_ACCEPTED)

    @extend_schema(
        summary="Look at the address: what is there, how it would be read; nothing is imported",
        request=None,
        responses=TestSerializer,
    )
    @action(detail=True, methods=["post"], pagination_class=None)
    def test(self, request: Request, pk: str) -> Response:
        return Response(TestSerializer(test_feed(self.get_object())).data)

    @extend_schema(
        summary=f"The feeds, newest first, with what is due of them in the next {DAYS} days",
        responses=DueSerializer(many=True),
    )
    @action(detail=False, serializer_class=DueSerializer)
    def due(self, request: Request) -> Response:
        page: Any = self.paginate_queryset(listed_feeds())
        due = [
            {"feed": feed, "times": times[:TIMES], "more": max(0, len(times) - TIMES)}
            for feed, times in due_times(page)
        ]
        return self.get_paginated_response(DueSerializer(due, many=True).data)

    @extend_schema(
        summary="The runs of a feed, newest first", responses=FeedRunSerializer(many=True)
    )
    @action(detail=True, serializer_class=FeedRunSerializer)
    def runs(self, request: Request, pk: str) -> Response:
        page: Any = self.paginate_queryset(listed_runs().filter(feed=self.get_object()))
        return self.get_paginated_response(FeedRunSerializer(tell_jobs(page), many=True).data)


def _told(feeds: Any) -> Any:
    """Feeds with their last runs."""
    for row in with_runs(feeds, count=1):
        row.feed.last_run = row.last  # type: ignore[attr-defined]
    return feeds


def _answer(feed: Feed, status_code: int = status.HTTP_200_OK) -> Response:
    return Response(FeedSerializer(_told([feed])[0]).data, status=status_code)
