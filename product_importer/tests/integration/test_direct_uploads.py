"""Direct uploads by the API, against moto's server; the browser's part is in test_browser_uploads.

The test sends the parts, and plays the worker.
"""

import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.utils import timezone

from catalog.models import ChangeSet, Product
from conftest import Messages
from imports.files import multipart as in_bucket
from imports.models import ImportJob, Upload
from imports.operations import uploads
from product_importer.environment import BASE_DIR

pytestmark = pytest.mark.django_db(transaction=True)

PART = 64 * 1024  # bytes; moto takes less than S3 (see below)
ROW = 900  # bytes of a description
ROWS = 2 * PART // ROW + 10
CONTENT = b"sku,name,description\n" + b"".join(
    b"S-%d,Lamp,%s\n" % (n, b"x" * ROW) for n in range(ROWS)
)
URL = "/api/v1/uploads/"


@pytest.fixture(autouse=True)
def _small_parts(settings: Any, static_files: None, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.UPLOADS_PART_SIZE = PART
    monkeypatch.setattr("moto.s3.models.S3_UPLOAD_PART_MIN_SIZE", PART)


@pytest.fixture
def person(user: User, bucket: Any, messages: Messages) -> Client:
    """Somebody who may import, where there is a bucket."""
    client = Client()
    client.force_login(user)
    return client


def post(client: Client, path: str, data: Any = None) -> Any:
    return client.post(URL + path, data or {}, content_type="application/json")


def begin(client: Client, size: int = len(CONTENT)) -> int:
    answer = post(client, "", {"file_name": "supplier.csv", "file_size": size})
    assert answer.status_code == 201, answer.content
    return int(answer.json()["id"])


def send(client: Client, upload: int, *numbers: int, content: bytes = CONTENT) -> None:
    signed = post(client, f"{upload}/parts/", {"numbers": numbers}).json()["parts"]
    assert [part["number"] for part in signed] == list(numbers)
    for part in signed:
        start = (part["number"] - 1) * PART
        body = content[start : start + PART]
        assert requests.put(part["url"], data=body, timeout=300).status_code == 200


def complete(client: Client, upload: int, **options: Any) -> Any:
    return post(client, f"{upload}/complete/", options)


def uploaded(client: Client, **options: Any) -> ImportJob:
    upload = begin(client)
    send(client, upload, 1, 2, 3)
    answer = complete(client, upload, **options)
    assert answer.status_code == 202, answer.content
    return ImportJob.objects.get(pk=answer.json()["id"])


def left_in(bucket: Any) -> list[Any]:
    """Objects and unfinished uploads in the bucket."""
    return [*bucket.objects.all(), *bucket.multipart_uploads.all()]


# --- All goes well ----------------------------------------------------------------------


def test_a_file_goes_to_the_bucket_in_parts_and_is_imported(
    person: Client, bucket: Any, messages: Messages, user: User
) -> None:
    upload = begin(person)
    shown = person.get(f"{URL}{upload}/").json()
    assert (shown["part_size"], shown["part_count"], shown["arrived"]) == (PART, 3, [])
    send(person, upload, 1, 2, 3)
    job = complete(person, upload, mode="create_only", review=False).json()
    assert (job["status"], job["file_size"], job["mode"]) == (
        "pending",
        len(CONTENT),
        "create_only",
    )
    assert job["file_name"] == "supplier.csv"
    messages.run_all()
    done = ImportJob.objects.get()
    assert (done.status, done.created, done.created_by) == ("completed", ROWS, user)
    assert Product.objects.count() == ROWS
    assert len(done.sha256) == 64
    assert [item.key for item in bucket.objects.all()] == [f"uploads/{done.file.name}"]


def test_an_address_takes_one_part_of_one_size_for_a_while(person: Client) -> None:
    upload = begin(person)
    answer = post(person, f"{upload}/parts/", {"numbers": [3]}).json()
    assert answer["expires_in"] == 900
    part = answer["parts"][0]
    assert part["size"] == len(CONTENT) - 2 * PART
    query = {name: value[0] for name, value in parse_qs(urlsplit(part["url"]).query).items()}
    row = Upload.objects.get()
    assert query.pop("uploadId") == row.multipart_id
    assert query.pop("partNumber") == "3"
    assert query.pop("X-Amz-Expires") == "900"
    assert query.pop("X-Amz-SignedHeaders") == "content-length;host"
    signing = {"Algorithm", "Credential", "Date", "Signature"}
    assert query.keys() == {f"X-Amz-{name}" for name in signing}


def test_an_upload_goes_on_with_what_has_arrived(person: Client) -> None:
    upload = begin(person)
    send(person, upload, 2)
    assert person.get(f"{URL}{upload}/").json()["arrived"] == [2]
    refused = complete(person, upload)
    assert (refused.status_code, refused.json()["code"]) == (409, "parts_missing")
    assert "2 of 3 parts" in refused.json()["detail"]
    send(person, upload, 1, 3)
    assert person.get(f"{URL}{upload}/").json()["arrived"] == [1, 2, 3]
    assert complete(person, upload).status_code == 202


def test_a_part_of_the_wrong_size_has_not_arrived(person: Client, bucket: Any) -> None:
    upload = begin(person)
    send(person, upload, 1, 2)
    send(person, upload, 3, content=CONTENT + b"more than was told\n")
    assert person.get(f"{URL}{upload}/").json()["arrived"] == [1, 2]
    assert complete(person, upload).status_code == 409
    assert not ImportJob.objects.exists()


def test_completing_twice_gives_the_same_job(person: Client) -> None:
    upload = begin(person)
    send(person, upload, 1, 2, 3)
    first, second = complete(person, upload), complete(person, upload)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json()["id"] == second.json()["id"]
    assert person.get(f"{URL}{upload}/").json()["job"] == first.json()["id"]
    assert ImportJob.objects.count() == ChangeSet.objects.count() == 1


def test_completing_twice_at_the_same_moment_gives_the_same_job(person: Client) -> None:
    upload = begin(person)
    send(person, upload, 1, 2, 3)

    def once(_: int) -> Any:
        try:
            return complete(person, upload).json()["id"]
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        assert len(set(threads.map(once, range(4)))) == 1
    assert ImportJob.objects.count() == ChangeSet.objects.count() == 1


def test_an_upload_that_the_bucket_completed_before_its_answer_was_lost_is_imported(
    person: Client, messages: Messages
) -> None:
    upload = begin(person)
    send(person, upload, 1, 2, 3)
    row = Upload.objects.get()
    in_bucket.complete(
        row.name, row.multipart_id, in_bucket.stored_parts(row.name, row.multipart_id)
    )
    assert person.get(f"{URL}{upload}/").json()["arrived"] == [1, 2, 3]
    assert complete(person, upload).status_code == 202
    messages.run_all()
    assert ImportJob.objects.get().status == "completed"


def test_parts_are_never_more_than_s3_takes(person: Client, settings: Any) -> None:
    settings.IMPORT_MAX_FILE_SIZE = 2**42
    begin(person, 2**40 + 1)
    row = Upload.objects.get()
    assert row.part_count <= 10_000
    assert sum(row.size_of_part(n) for n in range(1, row.part_count + 1)) == row.file_size


# --- The same file again ----------------------------------------------------------------


def test_the_same_file_again_is_held_for_review_once_a_worker_has_read_it(
    person: Client, messages: Messages
) -> None:
    first = uploaded(person)
    messages.run_all()
    again = uploaded(person, review_if_known=True)
    assert (again.review, again.warnings, again.sha256) == (False, [], "")
    after = ChangeSet.objects.filter(importjob=again)
    assert after.exists()
    messages.run_all()
    again.refresh_from_db()
    assert (again.status, again.same_as, again.change_set) == ("awaiting_review", first, None)
    assert f"as {first.file_name}" in again.warnings[0]
    assert ChangeSet.objects.count() == 1  # its place in the queue is free


def test_the_same_file_again_goes_through_with_a_warning_unless_it_was_to_be_held(
    person: Client, messages: Messages
) -> None:
    first = uploaded(person)
    messages.run_all()
    again = uploaded(person)
    messages.run_all()
    again.refresh_from_db()
    assert (again.status, again.unchanged, again.same_as) == ("completed", ROWS, first)
    assert f"as {first.file_name}" in again.warnings[0]


def test_a_file_without_a_hash_yet_is_nobodys_same_file(person: Client, messages: Messages) -> None:
    uploaded(person)
    second = uploaded(person, review_if_known=True)
    assert second.same_as is None
    messages.run_all()
    second.refresh_from_db()
    assert second.status == "awaiting_review"  # the first was read before it


# --- It does not go well ----------------------------------------------------------------


def test_a_part_that_the_file_does_not_have_is_refused(person: Client) -> None:
    upload = begin(person)
    for numbers in ([0], [4], [-1], ["x"], [], [1.5], "1", [2**70], [1] * 101, None):
        answer = post(person, f"{upload}/parts/", {"numbers": numbers})
        assert answer.status_code == 400, numbers
        assert answer.json()["detail"]


def test_an_upload_without_a_name_or_a_size_is_refused(person: Client, bucket: Any) -> None:
    size = {"file_size": 5}
    for asked in (
        {},
        {"file_name": "a.csv"},
        {"file_name": "a.csv", "file_size": 0},
        {"file_name": "a.csv", "file_size": 2**63},
        {"file_name": "", **size},
        {"file_name": "a\0.csv", **size},
        {"file_name": "a" * 256, **size},
    ):
        assert post(person, "", asked).status_code == 400, asked
    assert left_in(bucket) == []


def test_a_file_over_the_limit_is_refused_before_a_byte_is_sent(
    person: Client, bucket: Any, settings: Any
) -> None:
    size = settings.IMPORT_MAX_FILE_SIZE + 1
    answer = post(person, "", {"file_name": "a.csv", "file_size": size})
    assert answer.status_code == 400
    assert "at most 1,024 MB" in answer.json()["detail"]
    assert left_in(bucket) == []


def test_a_file_over_the_limit_of_its_completion_is_refused_and_thrown_away(
    person: Client, bucket: Any, settings: Any
) -> None:
    upload = begin(person)
    send(person, upload, 1, 2, 3)
    settings.IMPORT_MAX_FILE_SIZE = len(CONTENT) - 1
    answer = complete(person, upload)
    assert answer.status_code == 409
    assert "at most 0 MB" in answer.json()["detail"]
    assert left_in(bucket) == []
    assert not Upload.objects.exists()
    assert not ImportJob.objects.exists()


def test_what_arrived_with_another_size_than_was_told_is_thrown_away(
    person: Client, bucket: Any
) -> None:
    upload = begin(person)
    row = Upload.objects.get()
    in_bucket.abort(row.name, row.multipart_id)
    bucket.put_object(Key=f"uploads/{row.name}", Body=b"another")
    answer = complete(person, upload)
    assert (answer.status_code, left_in(bucket)) == (409, [])
    assert "has 7 bytes" in answer.json()["detail"]


def test_cancelling_throws_the_parts_away(person: Client, bucket: Any) -> None:
    upload = begin(person)
    send(person, upload, 1)
    assert person.delete(f"{URL}{upload}/").status_code == 204
    assert left_in(bucket) == []
    for answer in (
        person.get(f"{URL}{upload}/"),
        complete(person, upload),
        person.delete(f"{URL}{upload}/"),
    ):
        assert answer.status_code == 404
        assert "Start a new one" in answer.json()["detail"]


def test_an_import_is_not_cancelled_with_its_upload(person: Client, bucket: Any) -> None:
    upload = begin(person)
    send(person, upload, 1, 2, 3)
    complete(person, upload)
    answer = person.delete(f"{URL}{upload}/")
    assert (answer.status_code, len(left_in(bucket))) == (409, 1)
    assert "cancel the import" in answer.json()["detail"]
    assert post(person, f"{upload}/parts/", {"numbers": [1]}).status_code == 409


def test_an_upload_that_the_bucket_no_longer_knows_is_told(person: Client, bucket: Any) -> None:
    upload = begin(person)
    row = Upload.objects.get()
    in_bucket.abort(row.name, row.multipart_id)
    for answer in (person.get(f"{URL}{upload}/"), complete(person, upload)):
        assert answer.status_code == 404
        assert "Upload the file again" in answer.json()["detail"]


def test_nobody_reaches_anothers_upload(
    person: Client, make_user: Callable[..., User], bucket: Any
) -> None:
    upload = begin(person)
    stranger = Client()
    stranger.force_login(make_user("sam", "manager"))
    for answer in (
        stranger.get(f"{URL}{upload}/"),
        post(stranger, f"{upload}/parts/", {"numbers": [1]}),
        complete(stranger, upload),
        stranger.delete(f"{URL}{upload}/"),
    ):
        assert answer.status_code == 404
    assert Upload.objects.count() == len(left_in(bucket)) == 1


def test_who_may_not_import_may_not_upload(bucket: Any, make_user: Callable[..., User]) -> None:
    viewer = Client()
    viewer.force_login(make_user("vera", "viewer"))
    answer = post(viewer, "", {"file_name": "a.csv", "file_size": 5})
    assert (answer.status_code, left_in(bucket)) == (403, [])


def test_a_bucket_that_does_not_answer_is_told_and_nothing_is_lost(
    person: Client, bucket: Any
) -> None:
    upload = begin(person)
    send(person, upload, 1, 2, 3)
    bucket.go_away()
    for answer in (
        complete(person, upload),
        person.get(f"{URL}{upload}/"),
        person.delete(f"{URL}{upload}/"),
        post(person, "", {"file_name": "a.csv", "file_size": 5}),
    ):
        assert answer.status_code == 503
        assert "try again in a minute" in answer.json()["detail"]
    assert Upload.objects.get().pk == upload


@pytest.mark.parametrize(("name", "is_direct"), [("", True), ("uploads", False)])
def test_without_direct_uploads_files_go_through_the_web_process(
    user: User, settings: Any, name: str, is_direct: bool
) -> None:
    settings.UPLOADS_BUCKET, settings.UPLOADS_DIRECT = name, is_direct
    client = Client()
    client.force_login(user)
    answer = post(client, "", {"file_name": "a.csv", "file_size": 5})
    assert answer.status_code == 409
    assert "/api/v1/imports/" in answer.json()["detail"]


# --- Clearing away ----------------------------------------------------------------------


def test_expired_uploads_are_cleared_away_and_others_stay(person: Client, bucket: Any) -> None:
    expired, fresh, done = begin(person), begin(person), begin(person)
    send(person, expired, 1)
    send(person, done, 1, 2, 3)
    job = complete(person, done).json()["id"]
    past = timezone.now() - timedelta(seconds=1)
    Upload.objects.exclude(pk=fresh).update(expires_at=past)
    assert person.get(f"{URL}{expired}/").status_code == 404
    uploads.clear_uploads()
    assert Upload.objects.get().pk == fresh
    assert [upload.id for upload in bucket.multipart_uploads.all()] == [
        Upload.objects.get().multipart_id
    ]
    name = ImportJob.objects.get(pk=job).file.name
    assert [item.key for item in bucket.objects.all()] == [f"uploads/{name}"]


def test_parts_that_no_row_tells_of_are_cleared_away(person: Client, bucket: Any) -> None:
    begin(person)
    in_bucket.begin("2026/01/01/lost.csv")
    assert len(left_in(bucket)) == 2
    uploads.clear_uploads()  # to moto every upload is years old
    assert [item.id for item in left_in(bucket)] == [Upload.objects.get().multipart_id]


def test_young_uploads_are_not_unknown(person: Client) -> None:
    begin(person)
    assert len(list(in_bucket.unfinished(before=timezone.now()))) == 1
    assert list(in_bucket.unfinished(before=datetime(2000, 1, 1, tzinfo=UTC))) == []


# --- The bucket's rules -----------------------------------------------------------------


def documented(name: str) -> list[dict[str, Any]]:
    """The rules of a kind as docs/uploads.md shows them."""
    text = (BASE_DIR / "docs" / "uploads.md").read_text()
    found = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.S)]
    return [rule for rules in found for rule in rules.get(name, [])]


def test_the_rules_of_the_bucket_are_set_as_documented_and_others_stay(
    bucket: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    client = bucket.meta.client
    other = {"ID": "other", "AllowedMethods": ["GET"], "AllowedOrigins": ["https://a.example"]}
    client.put_bucket_cors(Bucket="uploads", CORSConfiguration={"CORSRules": [other]})
    for origin in ("https://old.example.com", "https://shop.example.com"):
        call_command("bucket_cors", origin)
    cors = client.get_bucket_cors(Bucket="uploads")["CORSRules"]
    assert [rule["AllowedOrigins"] for rule in cors] == [
        ["https://a.example"],
        ["https://shop.example.com"],
    ]
    ours = documented("CORSRules")[0]
    assert {name: cors[1][name] for name in ours if name != "ID"} == {
        name: value for name, value in ours.items() if name != "ID"
    }
    lifecycle = client.get_bucket_lifecycle_configuration(Bucket="uploads")["Rules"]
    assert lifecycle == documented("Rules")
    assert "https://shop.example.com" in capsys.readouterr().out


def test_what_is_no_origin_is_not_allowed_into_the_bucket(bucket: Any) -> None:
    for origin in ("shop.example.com", "https://shop.example.com/", "ftp://a"):
        with pytest.raises(CommandError, match="is not the address of a site"):
            call_command("bucket_cors", origin)


def test_a_bucket_that_takes_no_rules_is_told(bucket: Any) -> None:
    bucket.go_away()
    with pytest.raises(CommandError, match="by hand"):
        call_command("bucket_cors", "https://shop.example.com")
