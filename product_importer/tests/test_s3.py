"""Uploads in S3, against moto's server."""

import io
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from django.core.files import File
from moto.server import ThreadedMotoServer

from catalog.models import Product
from imports import operations, task_names
from imports.models import ImportJob, uploads
from product_importer.settings import s3_uploads
from webhooks import kick

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def bucket(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A bucket, and the settings that UPLOADS_BUCKET makes."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    made = boto3.resource("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(
        Bucket="uploads"
    )
    settings.STORAGES = {
        **settings.STORAGES,
        "uploads": s3_uploads("uploads", endpoint_url=endpoint, region_name="us-east-1"),
    }
    # The field took its storage when the model was made, before these settings.
    monkeypatch.setattr(ImportJob._meta.get_field("file"), "storage", uploads())
    yield made
    server.stop()


def test_an_upload_goes_to_the_bucket_and_is_imported_from_there(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kicked: list[tuple[str, int]] = []
    monkeypatch.setattr(kick, "_kick", lambda task, args: kicked.append((task, *args)))
    content = b"sku,name\n" + b"".join(b"S-%d,Name\n" % n for n in range(5000))
    job = operations.start_import(
        file=File(io.BytesIO(content), name="p.csv"), file_name="p.csv", user=None
    )
    stored = [item.key for item in bucket.objects.all()]
    assert stored == [f"uploads/{job.file.name}"]
    while kicked:
        task, job_id = kicked.pop(0)
        if task == task_names.ADVANCE:
            operations.advance_import(job_id)
        else:
            operations.run_chunks(job_id)
    assert ImportJob.objects.get().status == "completed"
    assert Product.objects.count() == 5000


def test_a_file_that_is_gone_from_the_bucket_fails_the_job(
    bucket: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kick, "_kick", lambda task, args: None)
    job = operations.start_import(
        file=File(io.BytesIO(b"sku,name\nA-1,Lamp\n"), name="p.csv"), file_name="p.csv", user=None
    )
    bucket.objects.all().delete()
    operations.advance_import(job.pk)
    job.refresh_from_db()
    assert job.status == "failed"
    assert "no longer in the storage" in job.error
