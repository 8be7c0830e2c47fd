"""Log-ins that fail too often have to wait, and nobody else does."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import requests
from axes.models import AccessAttempt
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.test import Client, RequestFactory
from django.utils import timezone
from pytest_django import Settings

from product_importer.accounts.login_throttling import client_address, seconds_to_wait
from product_importer.local.stack import Stack

PASSWORD = "a-password-for-tests-1"
HERE, ELSEWHERE = "198.51.100.7", "203.0.113.9"


@pytest.fixture
def people(static_files: None, make_user: Callable[..., User]) -> dict[str, User]:
    return {name: make_user(name) for name in ("mara", "nora")}


def log_in(
    name: str = "mara",
    typed: str = "wrong",
    *,
    address: str = HERE,
    path: str = "/login/",
    **headers: str,
) -> HttpResponse:
    values = {"username": name, "password": typed}
    client = Client(REMOTE_ADDR=address, headers=headers)
    answer: Any = client.post(path, values)
    return answer  # type: ignore[no-any-return]


@pytest.mark.usefixtures("people")
def test_after_five_failures_the_page_tells_how_long_to_wait() -> None:
    assert [log_in().status_code for _ in range(4)] == [200] * 4
    answer = log_in()
    assert answer.status_code == 429
    assert 14 * 60 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert "<b>15 minutes</b>" in answer.content.decode()


@pytest.mark.usefixtures("people")
def test_who_has_to_wait_does_not_get_in_with_the_right_password_either() -> None:
    for _ in range(5):
        log_in()
    answer = log_in(typed=PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) <= 15 * 60


@pytest.mark.usefixtures("people")
def test_nobody_else_has_to_wait() -> None:
    for _ in range(6):
        log_in()
    assert log_in(typed=PASSWORD, address=ELSEWHERE).status_code == 302
    assert log_in("nora", PASSWORD).status_code == 302


def test_the_admin_and_the_pages_count_together(people: dict[str, User]) -> None:
    User.objects.filter(pk=people["mara"].pk).update(is_staff=True)
    for path in ("/login/", "/admin/login/", "/login/", "/admin/login/"):
        assert log_in(path=path).status_code == 200
    assert log_in(path="/admin/login/").status_code == 429
    assert log_in(typed=PASSWORD).status_code == 429


@pytest.mark.usefixtures("people")
def test_another_browser_does_not_dodge_the_wait() -> None:
    browsers = {"user-agent": "a"}, {"user-agent": "b"}, {"user-agent": "c"}
    answers = [log_in(**browsers[number % 3]) for number in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 4 + [429]


@pytest.mark.usefixtures("people")
def test_a_header_that_the_client_made_up_does_not_dodge_the_wait() -> None:
    answers = [log_in(**{"x-forwarded-for": f"203.0.113.{number}"}) for number in range(5)]
    assert answers[-1].status_code == 429


@pytest.mark.usefixtures("people")
def test_behind_a_proxy_the_address_that_it_saw_counts(settings: Settings) -> None:
    settings.PROXIES = 1
    for number in range(5):
        log_in(address="10.0.0.1", **{"x-forwarded-for": f"192.0.2.{number}, {HERE}"})
    proxied = {"address": "10.0.0.1", "typed": PASSWORD}
    assert log_in(**proxied, **{"x-forwarded-for": HERE}).status_code == 429
    assert log_in(**proxied, **{"x-forwarded-for": ELSEWHERE}).status_code == 302


@pytest.mark.usefixtures("people")
def test_a_log_in_that_succeeds_forgets_the_failures_before_it() -> None:
    for _ in range(4):
        log_in()
    assert log_in(typed=PASSWORD).status_code == 302
    assert [log_in().status_code for _ in range(4)] == [200] * 4


@pytest.mark.usefixtures("people")
def test_an_address_that_tries_many_names_has_to_wait(settings: Settings) -> None:
    settings.LOGIN_FAILURES_OF_ADDRESS = 7
    for number in range(7):  # one password each: no name comes to its own limit
        assert log_in(f"name-{number}").status_code == 200
    answer = log_in(typed=PASSWORD)
    assert answer.status_code == 429
    assert 14 * 60 < int(answer.headers["Retry-After"]) <= 15 * 60
    assert "7 log-ins, with whatever names, failed" in answer.content.decode()
    assert log_in(typed=PASSWORD, address=ELSEWHERE).status_code == 302
    AccessAttempt.objects.filter(username="name-3").update(
        attempt_time=timezone.now() - timedelta(minutes=15, seconds=1)
    )
    assert log_in(typed=PASSWORD).status_code == 302


@pytest.mark.usefixtures("people")
def test_without_an_address_only_the_name_counts(settings: Settings) -> None:
    settings.LOGIN_FAILURES_OF_ADDRESS = 3
    for number in range(4):
        log_in(f"name-{number}", address="")
    assert log_in(typed=PASSWORD, address="").status_code == 302


@pytest.mark.usefixtures("people")
def test_the_wait_ends() -> None:
    for _ in range(5):
        log_in()
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=15, seconds=1))
    assert log_in(typed=PASSWORD).status_code == 302


@pytest.mark.django_db
def test_the_wait_lasts_until_enough_failures_are_forgotten(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = timezone.now()
    monkeypatch.setattr(timezone, "now", lambda: now)
    for agent, failures, minutes in (("a", 2, 10), ("b", 3, 5), ("c", 2, 1)):
        AccessAttempt.objects.create(
            username="mara",
            ip_address=HERE,
            user_agent=agent,
            failures_since_start=failures,
            attempt_time=now,
        )
        # The field sets itself when a row is made.
        AccessAttempt.objects.filter(user_agent=agent).update(
            attempt_time=now - timedelta(minutes=minutes)
        )
    # 7 failures; without the oldest 2 still 5; without the next 3 only 2: after 15 - 5 minutes.
    assert seconds_to_wait(username="mara", address=HERE) == 600


@pytest.mark.usefixtures("people")
def test_ops_staff_end_a_wait_in_the_admin(admin_client: Client) -> None:
    for _ in range(5):
        log_in()
    attempt = AccessAttempt.objects.get()
    assert "mara" in admin_client.get("/admin/axes/accessattempt/").content.decode()
    admin_client.post(f"/admin/axes/accessattempt/{attempt.pk}/delete/", {"post": "yes"})
    assert log_in(typed=PASSWORD).status_code == 302


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize("name", ["", "x" * 300, "a\0b", "é" * 150])
def test_odd_names_are_answered(name: str) -> None:
    assert log_in(name).status_code == 200


@pytest.mark.usefixtures("people")
def test_the_api_takes_no_passwords() -> None:
    credentials = "Basic bWFyYTphLXBhc3N3b3JkLWZvci10ZXN0cy0x"  # mara, and her password
    answer = Client().get("/api/v1/products/", headers={"authorization": credentials})
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize(
    ("proxies", "peer", "forwarded", "address"),
    [
        (0, HERE, None, HERE),
        (0, HERE, ELSEWHERE, HERE),  # made up
        (1, "10.0.0.1", ELSEWHERE, ELSEWHERE),
        (1, "10.0.0.1", f"1.2.3.4, {ELSEWHERE}", ELSEWHERE),
        (2, "10.0.0.1", f"1.2.3.4, {ELSEWHERE}, 10.0.0.2", ELSEWHERE),
        (2, "10.0.0.1", ELSEWHERE, "10.0.0.1"),  # past the first proxy
        (1, "10.0.0.1", "not an address", "10.0.0.1"),
        (1, "10.0.0.1", None, "10.0.0.1"),
        (0, "2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::"),
        (1, "10.0.0.1", "2001:db8:1:2:ffff::1", "2001:db8:1:2::"),
        (0, "::1", None, "::1"),
        (0, "::ffff:198.51.100.7", None, HERE),
        (0, "", None, None),  # a unix socket
    ],
)
def test_whose_address_counts(
    settings: Settings, proxies: int, peer: str, forwarded: str | None, address: str | None
) -> None:
    settings.PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR=peer)
    if forwarded is not None:
        request.META["HTTP_X_FORWARDED_FOR"] = forwarded
    assert client_address(request) == address


def test_the_wait_holds_over_all_web_processes(
    site: Stack, transactional_db: None, make_user: Callable[..., User]
) -> None:
    make_user()
    base = f"http://127.0.0.1:{site.port}"

    def attempt(number: int) -> requests.Response:
        with requests.Session() as session:  # a connection each, to whichever process takes it
            session.trust_env = False
            form = session.get(f"{base}/login/", timeout=300).text
            token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', form)
            assert token
            values = {"csrfmiddlewaretoken": token[1], "username": "mara", "password": "wrong"}
            forged = {"X-Forwarded-For": f"203.0.113.{number}"}
            return session.post(f"{base}/login/", values, headers=forged, timeout=300)

    answers = [attempt(number).status_code for number in range(6)]
    assert answers == [200, 200, 200, 200, 429, 429]
