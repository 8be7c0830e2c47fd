"""The content security policy: what it says, and that nothing of ours is inline."""

import re
import subprocess
import sys
from typing import Any

import boto3
import pytest
from botocore.config import Config
from django.contrib import admin
from django.contrib.auth.models import User
from django.contrib.staticfiles import finders
from django.test import Client, RequestFactory

import imports.views.jobs
from product_importer.environment import BASE_DIR
from product_importer.web.csp import bucket_origins, content_security_policy

EU = "eu-central-1"


def run_python(code: str) -> str:
    """What a fresh process prints: settings are read once."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def policy(client: Client, path: str) -> dict[str, list[str]]:
    header = client.get(path, headers={"accept": "text/html"}).headers["Content-Security-Policy"]
    parts = [directive.split() for directive in header.split(";")]
    return {part[0]: part[1:] for part in parts}


def test_a_page_takes_everything_from_the_site_and_runs_nothing_inline(page: Client) -> None:
    found = policy(page, "/products/")
    assert found["default-src"] == ["'none'"]
    assert found["script-src"] == ["'self'", "'unsafe-eval'"]
    assert found["connect-src"] == ["'self'"]
    for closed in ("object-src", "base-uri", "frame-ancestors"):
        assert found[closed] == ["'none'"]
    assert found["form-action"] == ["'self'"]


@pytest.mark.parametrize("path", ["/api/v1/docs/", "/api/v1/products/"])
def test_the_pages_of_the_api_need_no_eval(page: Client, path: str) -> None:
    assert policy(page, path)["script-src"] == ["'self'"]


@pytest.mark.parametrize("path", ["/login/", "/admin/", "/nowhere/", "/healthz"])
def test_every_answer_has_the_policy(page: Client, path: str) -> None:
    assert policy(page, path)["frame-ancestors"] == ["'none'"]


@pytest.mark.parametrize(
    ("bucket", "region", "endpoint"),
    [
        ("files", EU, ""),
        ("files", "us-east-1", ""),
        ("files.shop", EU, ""),
        ("files", "us-east-1", "https://s3.example.com:9000"),
        ("files", EU, "http://127.0.0.1:9000/"),
    ],
)
def test_a_presigned_upload_goes_to_an_origin_that_is_allowed(
    bucket: str, region: str, endpoint: str
) -> None:
    client = boto3.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint or None,
        aws_access_key_id="k",
        aws_secret_access_key="s",
        config=Config(signature_version="s3v4"),
    )
    url = client.generate_presigned_url(
        "upload_part", {"Bucket": bucket, "Key": "k", "UploadId": "u", "PartNumber": 1}
    )
    origin = "/".join(url.split("/")[:3])
    allowed = bucket_origins(bucket, region=region, endpoint_url=endpoint)
    assert origin in content_security_policy(allowed)["connect-src"]


def test_without_a_bucket_nothing_else_is_allowed() -> None:
    assert bucket_origins("", region=EU, endpoint_url="https://s3.example.com") == []


def test_the_settings_allow_the_bucket_that_uploads_go_to(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "UPLOADS_BUCKET": "files",
        "AWS_S3_ENDPOINT_URL": "https://s3.test",
    }.items():
        monkeypatch.setenv(name, value)
    code = "from product_importer.settings import CONTENT_SECURITY_POLICY as p; print(p)"
    assert "'connect-src': [\"'self'\", 'https://s3.test']" in run_python(code)


def test_no_template_of_ours_has_anything_inline() -> None:
    inline = re.compile(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|javascript:|\shx-on")
    templates = list((BASE_DIR / "templates").rglob("*.html"))
    assert len(templates) > 40
    assert [file.name for file in templates if inline.search(file.read_text())] == []


def test_the_stylesheet_of_the_theme_has_the_colours_of_the_settings() -> None:
    """Unfold writes them into its own pages; the API's pages, which it does not make, load them."""
    site: Any = admin.site  # Unfold's, which reads the settings
    request = RequestFactory().get("/")
    theme = (BASE_DIR / "static/product_importer/theme.css").read_text()
    expected = {"--border-radius": site._get_config("BORDER_RADIUS", request)}
    for name, weights in site._get_colors("COLORS", request).items():
        expected |= {f"--color-{name}-{weight}": value for weight, value in weights.items()}
    assert len(expected) > 20
    assert dict(re.findall(r"(--[\w-]+): (.*);", theme)) == expected


# --- No page tells what only the log should ---------------------------------------------


def test_an_error_shows_no_debug_page(
    user: User, static_files: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("a secret of the code")

    monkeypatch.setattr(imports.views.jobs, "glance", fail)
    client = Client(raise_request_exception=False)
    client.force_login(user)
    answer = client.get("/")
    assert answer.status_code == 500
    text = answer.content.decode()
    assert "Something went wrong on our side" in text
    assert "a secret of the code" not in text


@pytest.mark.django_db  # a connection that is open is given back
def test_an_address_that_is_not_there_shows_no_list_of_those_that_are(static_files: None) -> None:
    text = Client().get("/nowhere/").content.decode()
    assert "There is nothing at this address" in text
    assert "URLconf" not in text


@pytest.mark.parametrize("template", ["400", "404", "500"])
def test_the_pages_for_errors_have_a_style_that_is_there(template: str) -> None:
    text = (BASE_DIR / "templates" / f"{template}.html").read_text()
    [address] = re.findall('<link rel="stylesheet" href="/static/([^"]+)">', text)
    assert finders.find(address)


def test_no_variable_turns_debugging_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEBUG", "DJANGO_DEBUG"):
        monkeypatch.setenv(name, "true")
    assert run_python("from product_importer.settings import DEBUG; print(DEBUG)") == "False"
