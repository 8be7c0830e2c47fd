"""The API of the notices: what I was told, what I am told of, and the chats."""

from typing import Any, cast

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from imports.models import NAME_MAX_LENGTH, NOTICE_KINDS, Notice, NoticeDelivery, NoticeRecipient
from imports.operations.notices import notices as operations
from product_importer.common.api import (
    ErrorSerializer,
    JSONBoolean,
    JSONText,
    Refusal,
    WholeNumber,
)
from product_importer.common.parsing import TEXT_MAX_LENGTH
from product_importer.common.viewsets import ChangedByOperations, JSONViewSet

SEE, CHANGE = "imports.view_importjob", "imports.change_noticerecipient"
MAX_SUPPLIERS = 10_000  # named at once


class NoticeSerializer(serializers.Serializer[Any]):
    """``link`` is a path of the site; ``counts`` is empty for what is not about an import."""

    id = serializers.IntegerField(source="pk", read_only=True)
    kind = serializers.ChoiceField(choices=Notice.Kind.values, source="notice.kind", read_only=True)
    title = serializers.CharField(source="notice.title", read_only=True)
    sentence = serializers.CharField(source="notice.sentence", read_only=True)
    link = serializers.CharField(source="notice.link", read_only=True)
    counts = serializers.DictField(
        child=serializers.IntegerField(), source="notice.counts", read_only=True
    )
    supplier = serializers.IntegerField(
        source="notice.supplier_id", read_only=True, allow_null=True
    )
    job = serializers.IntegerField(source="notice.job_id", read_only=True, allow_null=True)
    state = serializers.ChoiceField(choices=NoticeDelivery.State.values, read_only=True)
    created_at = serializers.DateTimeField(source="notice.created_at", read_only=True)
    sent_at = serializers.DateTimeField(read_only=True, allow_null=True)


class ChoicesSerializer(serializers.Serializer[Any]):
    """What a person or a chat is told of."""

    kinds = serializers.ListField(
        child=serializers.ChoiceField(choices=NOTICE_KINDS),
        required=False,
        max_length=100,
    )
    suppliers = serializers.ListField(
        child=WholeNumber(min_value=1, max_value=2**63 - 1),
        required=False,
        allow_null=True,
        max_length=MAX_SUPPLIERS,
        help_text="their ids; null: of all, and of files without one",
    )

    def to_representation(self, recipient: NoticeRecipient) -> dict[str, Any]:
        chosen = [] if recipient.pk is None else list(recipient.suppliers.all())
        return {
            "kinds": recipient.kinds,
            "suppliers": None if recipient.every_supplier else sorted(one.pk for one in chosen),
        }


class OwnSerializer(ChoicesSerializer):
    own_only = JSONBoolean(required=False, help_text="of imports that I started, and not of others")
    by_mail = JSONBoolean(required=False)
    email = serializers.CharField(read_only=True, help_text="mine; blank: no e-mails")
    mail_is_set_up = serializers.BooleanField(read_only=True)

    def to_representation(self, recipient: NoticeRecipient) -> dict[str, Any]:
        return {
            **super().to_representation(recipient),
            "own_only": recipient.own_only,
            "by_mail": recipient.enabled,
            "email": cast(User, recipient.user).email,
            "mail_is_set_up": settings.EMAIL_IS_SET_UP,
        }


class ChatSerializer(ChoicesSerializer):
    """``url`` is written and never read: whoever knows it can write there."""

    id = serializers.IntegerField(read_only=True)
    name = JSONText(max_length=NAME_MAX_LENGTH)
    url = JSONText(max_length=TEXT_MAX_LENGTH, write_only=True)
    shown = serializers.CharField(read_only=True, help_text="what of the URL is no secret")
    enabled = JSONBoolean(required=False)
    last_error = serializers.CharField(read_only=True)
    failing_since = serializers.DateTimeField(read_only=True, allow_null=True)
    created_at = serializers.DateTimeField(read_only=True)

    def to_representation(self, chat: NoticeRecipient) -> dict[str, Any]:
        at = serializers.DateTimeField().to_representation
        return {
            "id": chat.pk,
            "name": chat.name,
            "shown": chat.shown,
            **super().to_representation(chat),
            "enabled": chat.enabled,
            "last_error": chat.last_error,
            "failing_since": at(chat.failing_since) if chat.failing_since else None,
            "created_at": at(chat.created_at),
        }


@extend_schema_view(list=extend_schema(summary="What I was told, newest first"))
class NoticeViewSet(mixins.ListModelMixin, JSONViewSet):
    queryset = NoticeDelivery.objects.none()
    serializer_class = NoticeSerializer
    permissions_of = {"list": SEE, "own_settings": SEE, "test": SEE}
    heavy_actions = ("test",)

    def get_queryset(self) -> QuerySet[NoticeDelivery]:
        if not isinstance(self.request.user, User):
            return NoticeDelivery.objects.none()  # while the schema is made
        return operations.notices_of(self.request.user)

    @extend_schema(methods=["get"], summary="What I am told of", responses=OwnSerializer)
    @extend_schema(
        methods=["patch"],
        summary="Change what I am told of; what is left out stays",
        request=OwnSerializer,
        responses=OwnSerializer,
    )
    @action(
        detail=False,
        methods=["get", "patch"],
        url_path="settings",
        url_name="settings",
        pagination_class=None,
        serializer_class=OwnSerializer,
    )
    def own_settings(self, request: Request) -> Response:
        user = cast(User, request.user)
        if request.method == "GET":
            return Response(OwnSerializer(operations.settings_of(user)).data)
        given = OwnSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        if "by_mail" in values:
            values["enabled"] = values.pop("by_mail")
        return Response(OwnSerializer(operations.change_settings(user=user, **values)).data)

    @extend_schema(
        summary="Send me a test by e-mail",
        request=None,
        responses={204: None, 409: ErrorSerializer},
    )
    @action(detail=False, methods=["post"], pagination_class=None)
    def test(self, request: Request) -> Response:
        recipient = operations.change_settings(user=cast(User, request.user))
        if not operations.send_test(recipient=recipient):
            raise Refusal("No e-mails go to you: see “email”, “by_mail” and “mail_is_set_up”.")
        return Response(status=status.HTTP_204_NO_CONTENT)


@extend_schema_view(
    list=extend_schema(summary="The chats that are told, newest first"),
    retrieve=extend_schema(summary="One chat"),
    update=extend_schema(summary="Change a chat"),
    partial_update=extend_schema(summary="Change some of what a chat is"),
    destroy=extend_schema(summary="Delete a chat, with what was to be sent there"),
)
class ChatViewSet(ChangedByOperations, JSONViewSet, viewsets.ReadOnlyModelViewSet[NoticeRecipient]):
    queryset = NoticeRecipient.objects.none()
    serializer_class = ChatSerializer
    permissions_of = dict.fromkeys(
        ("list", "retrieve", "create", "update", "partial_update", "destroy", "test"), CHANGE
    )
    heavy_actions = ("test",)

    def get_queryset(self) -> QuerySet[NoticeRecipient]:
        return NoticeRecipient.objects.filter(user=None).prefetch_related("suppliers")

    @extend_schema(summary="Add a chat", responses={201: ChatSerializer})
    def create(self, request: Request) -> Response:
        given = ChatSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        chat = operations.create_chat(**given.validated_data)
        return Response(ChatSerializer(chat).data, status=status.HTTP_201_CREATED)

    def change_row(self, pk: int, values: dict[str, Any]) -> NoticeRecipient:
        return operations.change_chat(recipient_id=pk, **values)

    def delete_row(self, pk: int) -> None:
        operations.delete_chat(recipient_id=pk)

    @extend_schema(
        summary="Send a test to a chat", request=None, responses={204: None, 409: ErrorSerializer}
    )
    @action(detail=True, methods=["post"])
    def test(self, request: Request, pk: str) -> Response:
        if not operations.send_test(recipient=self.get_object()):
            raise Refusal("The chat is switched off.")
        return Response(status=status.HTTP_204_NO_CONTENT)
