"""The API of a job's mapping: how its file is read, or would be."""

from collections.abc import Callable
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from imports.api.job import JobSerializer
from imports.mapping.rules import Rules, RulesError, parse_rules
from imports.models import NAME_MAX_LENGTH, ImportJob, job_snapshot
from imports.operations import mapping as operations
from imports.operations.suppliers import Invalid
from imports.queries import mapping as queries
from imports.readers.csv import UnreadableFile
from product_importer.common.actor import actor_of
from product_importer.common.api import (
    ErrorSerializer,
    JSONParser,
    JSONText,
    Refusal,
    invalid,
)


def wrong_rules(error: RulesError) -> serializers.ValidationError:
    """The API's 400 for rules: every one that is wrong."""
    return serializers.ValidationError({"rules": error.problems})


class RulesSerializer(serializers.Serializer[Any]):
    rules = serializers.DictField(help_text="How the file is read: docs/csv.md, “Rules”.")

    def validate_rules(self, data: Any) -> Rules:
        try:
            return parse_rules(data)
        except RulesError as error:
            raise serializers.ValidationError(error.problems) from error


class RememberSerializer(serializers.Serializer[Any]):
    supplier = JSONText(max_length=NAME_MAX_LENGTH, help_text="its name; made if it is new")
    format = JSONText(max_length=NAME_MAX_LENGTH, help_text="a name; known, it is a new version")


class SaveMappingSerializer(RulesSerializer):
    remember = RememberSerializer(required=False, allow_null=True)


class SuggestionSerializer(serializers.Serializer[Any]):
    field = serializers.CharField()
    score = serializers.FloatField(help_text="from 0 to 1")


class ProposedFieldSerializer(serializers.Serializer[Any]):
    """A field that could be made of a column: ``fields/`` takes it as it is."""

    label = serializers.CharField()  # type: ignore[assignment]
    key = serializers.CharField()
    type = serializers.CharField()
    options = serializers.DictField()
    unique = serializers.BooleanField()


class ColumnSerializer(serializers.Serializer[Any]):
    index = serializers.IntegerField(help_text="from 1")
    name = serializers.CharField()
    samples = serializers.ListField(child=serializers.CharField())
    field = serializers.CharField(help_text="blank for a column that is left out")
    because = serializers.CharField(help_text="why")
    suggestions = SuggestionSerializer(many=True)
    proposed_field = ProposedFieldSerializer(
        allow_null=True, help_text="of a column that is left out: what to post to fields/"
    )


class QuestionSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    column = serializers.CharField(help_text="blank where the whole file is meant")
    message = serializers.CharField()


class CellProblemSerializer(serializers.Serializer[Any]):
    column = serializers.CharField()
    code = serializers.CharField()
    message = serializers.CharField()


class PreviewRowSerializer(serializers.Serializer[Any]):
    line = serializers.IntegerField()
    raw = serializers.DictField(child=serializers.CharField(), help_text="field: as it stands")
    values = serializers.DictField(help_text="field: as it would be stored")
    problems = CellProblemSerializer(many=True)
    skipped = serializers.BooleanField(help_text="left out by only_if")


class ReadAsSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    supplier = serializers.CharField(allow_null=True)
    name = serializers.CharField()
    version = serializers.IntegerField()


class MappingSerializer(serializers.Serializer[Any]):
    rules = serializers.DictField(help_text="as found, every one with its value")
    columns = ColumnSerializer(many=True)
    questions = QuestionSerializer(many=True)
    notes = serializers.ListField(child=serializers.CharField())
    preview = PreviewRowSerializer(many=True, help_text="the first 50 records")
    sheets = serializers.ListField(child=serializers.CharField())
    members = serializers.ListField(child=serializers.CharField())
    format = ReadAsSerializer(allow_null=True)


JSON_ONLY: Any = {"parser_classes": [JSONParser], "pagination_class": None, "filter_backends": []}


class MappingActions:
    # The part of the imports' API that is about their columns. (The schema would describe each of
    # its calls by a docstring.)
    get_object: Callable[[], ImportJob]

    @extend_schema(
        summary="How a file is read: its columns, what is unclear, its first records",
        description="Of a job that awaits its mapping: as it was found, and what keeps it from "
        "being read. 409 for a file that nobody has looked at yet, or that is no longer kept.",
        responses={200: MappingSerializer, 409: ErrorSerializer},
    )
    @action(detail=True, **JSON_ONLY)
    def mapping(self, request: Request, pk: str) -> Response:
        return self._answer(queries.mapping_of)

    @extend_schema(
        summary="The same under other rules; nothing is kept",
        request=RulesSerializer,
        responses={200: MappingSerializer, 409: ErrorSerializer},
    )
    @action(
        detail=True,
        methods=["post"],
        url_path="mapping/preview",
        url_name="mapping-preview",
        **JSON_ONLY,
    )
    def preview(self, request: Request, pk: str) -> Response:
        given = RulesSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        return self._answer(queries.preview, given.validated_data["rules"])

    @extend_schema(
        summary="Read the file by these rules: the job goes on",
        description="400 names every rule that is wrong, and what is still unclear; 409 for a job "
        "that does not wait, as when somebody else was quicker.",
        request=SaveMappingSerializer,
        responses={202: JobSerializer, 409: ErrorSerializer},
    )
    @mapping.mapping.put
    def save_mapping(self, request: Request, pk: str) -> Response:
        given = SaveMappingSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            job = operations.save_mapping(
                job_id=self.get_object().pk,
                user=actor_of(request),
                rules=given.validated_data["rules"],
                remember=given.validated_data.get("remember"),
            )
        except RulesError as error:
            raise wrong_rules(error) from error
        except Invalid as error:
            named = {f"remember.{name}": what for name, what in error.errors.items()}
            raise invalid(named) from error
        except UnreadableFile as error:
            raise Refusal(str(error)) from error
        return Response(job_snapshot(job), status=status.HTTP_202_ACCEPTED)

    def _answer(self, query: Callable[..., dict[str, Any]], *rules: Rules) -> Response:
        try:
            return Response(query(self.get_object(), *rules))
        except RulesError as error:
            raise wrong_rules(error) from error
        except UnreadableFile as error:
            raise Refusal(str(error)) from error
