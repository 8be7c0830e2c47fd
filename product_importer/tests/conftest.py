"""What several tests of the whole product share: a hosting platform, and a bucket."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from django.contrib.auth.models import User
from django.test import Client
from moto.server import ThreadedMotoServer

from imports.models import ImportJob, uploads
from product_importer.local.processes import free_port
from product_importer.local.pytest_plugin import STACK
from product_importer.settings import s3_uploads
from product_importer.tests.hosting import Hosting


@pytest.fixture
def everybody(make_user: Callable[..., User], static_files: None) -> User:
    """Somebody who may do everything, in the admin too."""
    user = make_user()
    user.is_staff = user.is_superuser = True
    user.save()
    return user


@pytest.fixture
def pages(everybody: User) -> Client:
    """The pages as they answer them, be it with an error of the server."""
    client = Client(raise_request_exception=False)
    client.force_login(everybody)
    return client


@pytest.fixture(scope="session")
def _hosting(pytestconfig: pytest.Config, static_files: None) -> Iterator[Hosting]:
    folder = Path(tempfile.mkdtemp(prefix="product-importer-hosting-"))
    folder.chmod(0o755)  # as root, the database runs as another user
    hosting = Hosting(folder, static_root=pytestconfig.stash[STACK].environ["STATIC_ROOT"])
    try:
        hosting.start()
        yield hosting
    finally:
        hosting.stop()
        shutil.rmtree(folder)


@pytest.fixture
def hosting(_hosting: Hosting) -> Iterator[Hosting]:
    """A hosting platform with the product released to it, empty, and no process begun."""
    _hosting.empty()
    yield _hosting
    _hosting.stop_processes()


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of an S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(moto: str, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """An empty bucket, and the settings that UPLOADS_BUCKET makes.

    After ``bucket.go_away()`` nobody answers.
    """
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    requests.post(f"{moto}/moto-api/reset", timeout=300)
    service = boto3.resource("s3", endpoint_url=moto, region_name="us-east-1")
    made = service.create_bucket(Bucket="uploads")
    settings.UPLOADS_BUCKET = "uploads"

    def use(endpoint: str) -> None:
        settings.STORAGES = {
            **settings.STORAGES,
            "uploads": s3_uploads("uploads", endpoint_url=endpoint, region_name="us-east-1"),
        }
        # The fields took their storage when the model was made, before these settings.
        for name in ("file", "table"):
            monkeypatch.setattr(ImportJob._meta.get_field(name), "storage", uploads())

    use(moto)
    made.go_away = lambda: use(f"http://127.0.0.1:{free_port(0)}")
    return made
