"""From EMAIL_URL to Django's settings, and what the site calls itself in messages."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from product_importer.environment import mail_settings, site_url

SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "smtps://mara%40x.com:p%2F%3A%40%C3%BC@mail.x.com",
            {"port": 465, "user": "mara@x.com", "password": "p/:@ü", "EMAIL_USE_SSL": True},
        ),
        ("smtp+tls://mail.x.com", {"port": 587, "EMAIL_USE_TLS": True}),
        ("smtp://mail.x.com", {"port": 25}),
        ("smtp://mail.x.com:2525/", {"port": 2525}),
    ],
)
def test_an_address_of_a_mail_server_is_read(url: str, expected: dict[str, Any]) -> None:
    assert mail_settings(url) == {
        "EMAIL_BACKEND": SMTP,
        "EMAIL_HOST": "mail.x.com",
        "EMAIL_PORT": expected.pop("port"),
        "EMAIL_HOST_USER": expected.pop("user", ""),
        "EMAIL_HOST_PASSWORD": expected.pop("password", ""),
        **expected,
    }


@pytest.mark.parametrize(("url", "backend"), [("", "dummy"), ("console://", "console")])
def test_without_a_mail_server_nothing_leaves_the_house(url: str, backend: str) -> None:
    assert mail_settings(url) == {
        "EMAIL_BACKEND": f"django.core.mail.backends.{backend}.EmailBackend"
    }


@pytest.mark.parametrize(
    "url",
    [
        "mail.x.com",
        "https://x:geheim@mail.x.com",
        "smtps://",
        "smtps://x:geheim@h:port",
        "smtp://[h",
    ],
)
def test_another_address_stops_the_start_and_its_password_is_not_told(url: str) -> None:
    with pytest.raises(ImproperlyConfigured) as caught:
        mail_settings(url)
    assert "EMAIL_URL is not understood" in str(caught.value)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("origins", "hosts", "https", "expected"),
    [
        (["https://shop.example.com"], ["x"], True, "https://shop.example.com"),
        (
            ["https://*.example.com"],
            ["*", ".example.com", "shop.example.com"],
            True,
            "https://shop.example.com",
        ),
        ([], ["localhost", "127.0.0.1"], False, "http://localhost:8000"),
        ([], ["*"], True, "https://localhost"),
    ],
)
def test_the_site_calls_itself_as_the_other_settings_do(
    origins: list[str], hosts: list[str], https: bool, expected: str
) -> None:
    assert site_url(origins=origins, hosts=hosts, https=https, port="8000") == expected
