"""Streams end with the right to follow them."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone
from knox.models import AuthToken
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from imports.models import ImportJob
from imports.queries import progress_stream
from imports.queries.progress_stream import Viewer, refused_among, viewer_of
from product_importer.accounts.tokens import make_token

pytestmark = pytest.mark.django_db


@pytest.fixture
def by_token(user: User) -> Viewer:
    made, _ = make_token(user=user)
    return Viewer(user.pk, token=made.token.pk)


@pytest.fixture
def by_session(client: Client, user: User) -> Viewer:
    client.force_login(user)
    user.refresh_from_db()
    return Viewer(user.pk, session=client.session.session_key or "", password=user.password)


def deactivated(user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


def without_role(user: User) -> None:
    user.groups.remove(Group.objects.get(name="manager"))


def without_tokens(user: User) -> None:
    AuthToken.objects.filter(user=user).delete()


def with_old_tokens(user: User) -> None:
    AuthToken.objects.filter(user=user).update(expiry=timezone.now() - timedelta(days=1))


def logged_out(user: User) -> None:
    Session.objects.all().delete()


def with_a_new_password(user: User) -> None:
    user.set_password("another one 7")
    user.save()


ENDS: dict[Callable[[User], None], set[str]] = {
    deactivated: {"token", "session"},
    without_role: {"token", "session"},
    without_tokens: {"token"},
    with_old_tokens: {"token"},
    logged_out: {"session"},
    with_a_new_password: {"session"},
}


@pytest.mark.parametrize("act", ENDS, ids=lambda act: act.__name__)
def test_who_may_no_longer_follow_is_refused(
    act: Callable[[User], None], user: User, by_token: Viewer, by_session: Viewer
) -> None:
    both = {"token": by_token, "session": by_session}
    assert refused_among(both.values()) == set()
    act(user)
    assert refused_among(both.values()) == {both[name] for name in ENDS[act]}


def test_streams_are_looked_at_with_three_queries_however_many(
    make_user: Callable[..., User], django_assert_num_queries: Any
) -> None:
    viewers = []
    for number in range(5):
        user = make_user(f"viewer-{number}", "viewer")
        viewers.append(Viewer(user.pk, token=make_token(user=user)[0].token.pk))
    with django_assert_num_queries(3):
        assert refused_among(viewers) == set()


def test_a_viewer_is_known_by_what_let_him_in(user: User, by_token: Viewer) -> None:
    request = Request(APIRequestFactory().get("/"))
    request.user, request.auth = user, AuthToken.objects.get(pk=by_token.token)
    assert viewer_of(request) == by_token


def test_a_superuser_without_a_role_may_follow(by_token: Viewer, user: User) -> None:
    user.groups.clear()
    User.objects.filter(pk=user.pk).update(is_superuser=True)
    assert refused_among([by_token]) == set()


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("static_files")
def test_the_stream_of_a_deactivated_user_ends(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_stream, "ALLOWED_SECONDS", 0.0)  # it is looked at every time
    job = ImportJob.objects.create(file_name="p.csv", file_size=1, status="awaiting_review")
    program = Client(headers={"authorization": f"Token {make_token(user=user)[1]}"})
    stream: Any = program.get(f"/api/v1/imports/{job.pk}/events/")

    async def follow() -> list[bytes]:
        pieces = []
        async for piece in stream:
            pieces.append(piece)
            if b"data:" in piece:
                await sync_to_async(deactivated)(user)
        return pieces

    connected, progress = async_to_sync(follow)()
    assert (connected, b'"awaiting_review"' in progress) == (b": connected\n\n", True)
