"""Many log-ins at once: no connection is held while a password is hashed, and few are at a time."""

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from axes.models import AccessAttempt
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db import connection, connections, transaction
from django.test import Client
from pytest_django import Settings

from conftest import PASSWORD, wait_for
from product_importer.accounts import hashing
from product_importer.local.stack import Stack

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("static_files")]

NEW = "another-password-for-tests-2"


class Hashes:
    """What was seen while passwords were hashed; ``hold`` makes every hash wait for an event."""

    def __init__(self) -> None:
        self.held: list[bool] = []  # whether the thread held a connection, for each hash
        self.now = self.most = 0
        self.hold: threading.Event | None = None
        self._lock = threading.Lock()

    def look(self) -> None:
        with self._lock:
            self.held.append(any(one.connection for one in connections.all()))
            self.now += 1
            self.most = max(self.most, self.now)
        if self.hold:
            self.hold.wait(300)
        with self._lock:
            self.now -= 1


@pytest.fixture
def hashes(monkeypatch: pytest.MonkeyPatch, make_user: Callable[..., User]) -> Hashes:
    make_user()
    seen = Hashes()
    encode = PBKDF2PasswordHasher.encode

    def look_and_encode(*args: Any, **kwargs: Any) -> str:
        seen.look()
        return encode(*args, **kwargs)

    monkeypatch.setattr(PBKDF2PasswordHasher, "encode", look_and_encode)
    return seen


def log_in(name: str = "mara", typed: str = PASSWORD, path: str = "/login/") -> Any:
    client = Client(REMOTE_ADDR="198.51.100.7", raise_request_exception=False)
    answer = client.post(path, {"username": name, "password": typed})
    connections.close_all()
    return answer


@pytest.mark.parametrize("path", ["/login/", "/admin/login/"])
@pytest.mark.parametrize(("name", "typed"), [("mara", PASSWORD), ("mara", "no"), ("nobody", "no")])
def test_no_connection_is_held_while_a_log_in_is_hashed(
    hashes: Hashes, path: str, name: str, typed: str
) -> None:
    User.objects.update(is_staff=True)
    assert log_in(name, typed, path).status_code == (302 if typed == PASSWORD else 200)
    assert hashes.held
    assert not any(hashes.held)


def test_no_connection_is_held_while_an_old_hash_is_renewed(
    hashes: Hashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 2000)
    assert log_in().status_code == 302
    assert len(hashes.held) == 2
    assert not any(hashes.held)
    assert "$2000$" in User.objects.get().password


def test_no_connection_is_held_while_a_new_password_is_hashed(
    hashes: Hashes, admin_client: Client
) -> None:
    user = User.objects.get(username="mara")
    client = Client()
    client.force_login(user)
    hashes.held.clear()
    new = {"new_password1": NEW, "new_password2": NEW}
    assert client.post("/password/", {"old_password": PASSWORD, **new}).status_code == 302
    of_staff = {"password1": NEW, "password2": NEW, "usable_password": "true"}
    path = f"/admin/auth/user/{user.pk}/password/"
    assert admin_client.post(path, of_staff).status_code == 302
    path = "/admin/auth/user/add/"
    assert admin_client.post(path, {"username": "nora", **of_staff}).status_code == 302
    assert User.objects.get(username="nora").check_password(NEW)
    assert len(hashes.held) >= 4
    assert not any(hashes.held)


def test_few_are_hashed_at_a_time(hashes: Hashes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashing, "WAIT_SECONDS", 300.0)
    hashes.hold = threading.Event()
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(log_in) for _ in range(8)]
        wait_for(lambda: hashing._places._value == hashing.AT_ONCE + hashing.WAITING - 8)
        wait_for(lambda: hashes.now == hashing.AT_ONCE)
        hashes.hold.set()
        assert {answer.result().status_code for answer in answers} == {302}
    assert hashes.most == hashing.AT_ONCE


def test_who_waits_too_long_is_told_to_come_back(
    hashes: Hashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes.hold = threading.Event()
    with ThreadPoolExecutor(hashing.AT_ONCE) as pool:
        others = [pool.submit(log_in) for _ in range(hashing.AT_ONCE)]
        wait_for(lambda: hashes.now == hashing.AT_ONCE)
        monkeypatch.setattr(hashing, "WAIT_SECONDS", 0.01)
        for path in ("/login/", "/admin/login/"):
            answer = log_in(path=path)
            assert answer.status_code == 503
            assert answer.headers["Retry-After"]
            assert "your password was not looked at" in answer.content.decode()
        hashes.hold.set()
        assert {other.result().status_code for other in others} == {302}
    assert not AccessAttempt.objects.exists()
    assert log_in().status_code == 302


def test_no_more_wait_than_there_are_places_for(
    hashes: Hashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "_places", threading.BoundedSemaphore(hashing.AT_ONCE))
    hashes.hold = threading.Event()
    with ThreadPoolExecutor(hashing.AT_ONCE) as pool:
        others = [pool.submit(log_in) for _ in range(hashing.AT_ONCE)]
        wait_for(lambda: hashes.now == hashing.AT_ONCE)
        assert log_in().status_code == 503
        hashes.hold.set()
        assert {other.result().status_code for other in others} == {302}


def test_guesses_that_come_together_are_counted_one_by_one(
    hashes: Hashes, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hashing, "WAIT_SECONDS", 300.0)
    with ThreadPoolExecutor(20) as pool:
        answers = [pool.submit(log_in, typed="wrong") for _ in range(20)]
        statuses = [answer.result().status_code for answer in answers]
    # Those that are in turn when the last one fails do not know of it yet.
    assert len(hashes.held) < settings.AXES_FAILURE_LIMIT + hashing.AT_ONCE
    assert set(statuses) == {200, 429}


def test_in_a_transaction_the_connection_stays(hashes: Hashes) -> None:
    with transaction.atomic():
        user = User.objects.create_user("nora", password=PASSWORD)
        assert connection.connection
    assert User.objects.filter(pk=user.pk).exists()


def test_eighty_log_ins_at_once_harm_nobody(site: Stack, make_user: Callable[..., User]) -> None:
    """80 of 40 names, a third wrong: more than twice the connections that the product has."""
    base = f"http://127.0.0.1:{site.port}"
    make_user()
    for number in range(40):
        make_user(f"user-{number}")
    mara = _session(base)
    assert _log_in(mara, base, "mara", PASSWORD).status_code == 302
    sessions = [_session(base) for _ in range(80)]
    with ThreadPoolExecutor(80) as pool:
        logging_in = [
            pool.submit(
                _log_in, one, base, f"user-{number % 40}", "wrong" if number % 3 == 0 else PASSWORD
            )
            for number, one in enumerate(sessions)
        ]
        pages: list[int] = []
        while not all(one.done() for one in logging_in) or not pages:
            pages.append(mara.get(f"{base}/products/", timeout=120).status_code)
            time.sleep(0.05)  # a person, not a flood
        answers = [one.result() for one in logging_in]
    assert set(pages) == {200}
    assert {answer.status_code for answer in answers} <= {200, 302, 503}
    for answer in answers:
        if answer.status_code == 503:
            assert answer.headers["Retry-After"]
            assert "your password was not looked at" in answer.text
    assert 302 in {answer.status_code for answer in answers}
    # How many get a turn is the machine's affair; who is told to come back gets in when he does.
    for number, (one, answer) in enumerate(zip(sessions, answers, strict=True)):
        if answer.status_code == 503 and number % 3:
            assert _log_in(one, base, f"user-{number % 40}", PASSWORD).status_code == 302


def _session(base: str) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    # Eighty threads may keep one from asking until its connection has stood idle for too long; a
    # browser asks once more then, ``requests`` does not.
    session.headers["Connection"] = "close"
    session.get(f"{base}/login/", timeout=120)
    return session


def _log_in(session: requests.Session, base: str, name: str, typed: str) -> requests.Response:
    form = session.get(f"{base}/login/", timeout=120).text
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
    assert token
    values = {"csrfmiddlewaretoken": token[1], "username": name, "password": typed}
    return session.post(f"{base}/login/", values, timeout=120, allow_redirects=False)
