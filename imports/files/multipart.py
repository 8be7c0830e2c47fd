"""The bucket that uploads are kept in (``UPLOADS_BUCKET``): its multipart uploads and its rules.

Every call may raise ``BucketAway``. A ``name`` is that of a stored file, as ``ImportJob.file`` has
it: the object's key is below the storage's folder. Sizes are in bytes.
"""

import logging
import posixpath
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from imports.models import uploads

logger = logging.getLogger(__name__)

RULE = "product-importer"  # our rules among the bucket's others
ABORT_DAYS = 2  # longer than an upload may take (imports.operations.uploads.KEPT)


class BucketAway(Exception):
    """The bucket does not answer, or refuses; the message tells the user what to do."""


class NoSuchUpload(Exception):
    """The bucket has no such multipart upload: it was completed, or aborted."""


@dataclass(frozen=True)
class StoredPart:
    """A part of a multipart upload that the bucket has."""

    etag: str
    size: int


# --- An upload in parts ---------------------------------------------------------------


def origin() -> str:
    """Scheme, host and port of the addresses that a browser sends parts to."""
    address = urlsplit(part_url("any", "any", number=1, size=1, seconds=1))
    return f"{address.scheme}://{address.netloc}"


def begin(name: str) -> str:
    """Start a multipart upload; return its id."""
    with _answers():
        answer = _client().create_multipart_upload(**_object(name), ContentType="text/csv")
    return str(answer["UploadId"])


def part_url(name: str, upload_id: str, *, number: int, size: int, seconds: int) -> str:
    """An address that takes exactly this part, with exactly this size, by PUT, for a while.

    Made without asking the bucket.
    """
    with _answers():
        url = _client().generate_presigned_url(
            "upload_part",
            Params={
                **_object(name),
                "UploadId": upload_id,
                "PartNumber": number,
                "ContentLength": size,
            },
            ExpiresIn=seconds,
        )
    return str(url)


def stored_parts(name: str, upload_id: str) -> dict[int, StoredPart]:
    """The parts that have arrived, by number. Raises ``NoSuchUpload``."""
    with _answers():
        pages = _client().get_paginator("list_parts")
        return {
            part["PartNumber"]: StoredPart(etag=part["ETag"], size=part["Size"])
            for page in pages.paginate(**_object(name), UploadId=upload_id)
            for part in page.get("Parts", [])
        }


def complete(name: str, upload_id: str, parts: dict[int, StoredPart]) -> None:
    """Make one object of these parts. Raises ``NoSuchUpload``."""
    listed = [{"PartNumber": number, "ETag": parts[number].etag} for number in sorted(parts)]
    with _answers():
        _client().complete_multipart_upload(
            **_object(name), UploadId=upload_id, MultipartUpload={"Parts": listed}
        )


def abort(name: str, upload_id: str) -> None:
    """Throw the parts away; one that is completed or aborted already stays as it is."""
    try:
        with _answers():
            _client().abort_multipart_upload(**_object(name), UploadId=upload_id)
    except NoSuchUpload:
        return


def unfinished(before: datetime) -> Iterator[tuple[str, str]]:
    """Name and id of the multipart uploads that were begun before a time."""
    storage: Any = uploads()
    prefix = posixpath.join(storage.location, "")
    with _answers():
        pages = _client().get_paginator("list_multipart_uploads")
        for page in pages.paginate(Bucket=storage.bucket_name, Prefix=prefix):
            for upload in page.get("Uploads", []):
                if upload["Initiated"] < before:
                    yield upload["Key"].removeprefix(prefix), upload["UploadId"]


# --- An object ------------------------------------------------------------------------


def size_of(name: str) -> int | None:
    """The size of a stored file; ``None`` if there is none."""
    try:
        with _answers():
            return int(_client().head_object(**_object(name))["ContentLength"])
    except FileNotFoundError:
        return None


def delete(name: str) -> None:
    """Delete a stored file, if there is one."""
    with _answers():
        _client().delete_object(**_object(name))


# --- The bucket's rules ---------------------------------------------------------------


def cors_rule(origins: list[str]) -> dict[str, Any]:
    """What lets pages of these origins send parts; other rules of the bucket are not ours."""
    return {
        "ID": RULE,
        "AllowedOrigins": origins,
        "AllowedMethods": ["PUT"],
        "ExposeHeaders": ["ETag"],
        "MaxAgeSeconds": 3600,
    }


def lifecycle_rule() -> dict[str, Any]:
    """What has the bucket throw unfinished uploads away even where no beat does."""
    storage: Any = uploads()
    return {
        "ID": RULE,
        "Status": "Enabled",
        "Filter": {"Prefix": posixpath.join(storage.location, "")},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": ABORT_DAYS},
    }


def set_rules(origins: list[str]) -> None:
    """Put our two rules into the bucket, in the place of earlier ones of ours."""
    storage: Any = uploads()
    bucket = storage.bucket_name
    with _answers():
        cors = _rules("get_bucket_cors", "CORSRules", "NoSuchCORSConfiguration")
        _client().put_bucket_cors(
            Bucket=bucket, CORSConfiguration={"CORSRules": [*cors, cors_rule(origins)]}
        )
        lifecycle = _rules(
            "get_bucket_lifecycle_configuration", "Rules", "NoSuchLifecycleConfiguration"
        )
        _client().put_bucket_lifecycle_configuration(
            Bucket=bucket, LifecycleConfiguration={"Rules": [*lifecycle, lifecycle_rule()]}
        )


def _rules(call: str, key: str, none_yet: str) -> list[dict[str, Any]]:
    """The bucket's rules of a kind but ours."""
    storage: Any = uploads()
    try:
        answer = getattr(_client(), call)(Bucket=storage.bucket_name)
    except ClientError as error:
        if error.response["Error"]["Code"] != none_yet:
            raise
        return []
    return [rule for rule in answer[key] if rule.get("ID") != RULE]


# --- Talking to it --------------------------------------------------------------------


def _object(name: str) -> dict[str, str]:
    storage: Any = uploads()
    return {"Bucket": storage.bucket_name, "Key": posixpath.join(storage.location, name)}


def _client() -> Any:
    return _make_client(uploads())


@lru_cache(maxsize=1)
def _make_client(storage: Any) -> Any:
    """One client for all threads (they may share one), with the storage's address and keys."""
    # Not above: it takes 20 MB, which only those need who have a bucket.
    import boto3.session
    from botocore.config import Config

    s3 = {}
    if not storage.endpoint_url and "." not in storage.bucket_name:
        # The region's own address. The general one answers a new bucket with a redirect, and
        # browsers do not follow one before a PUT to another origin.
        s3["addressing_style"] = "virtual"
    session = boto3.session.Session(
        aws_access_key_id=storage.access_key,
        aws_secret_access_key=storage.secret_key,
        aws_session_token=storage.security_token,
    )
    return session.client(
        "s3",
        endpoint_url=storage.endpoint_url,
        region_name=storage.region_name,
        config=storage.client_config.merge(
            Config(
                s3=s3,
                signature_version="s3v4",  # the one that signs a part's size
                request_checksum_calculation="when_required",  # a browser sends none
                connect_timeout=3,
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": 2},
            )
        ),
    )


@contextmanager
def _answers() -> Iterator[None]:
    """Tell what the bucket says in our words."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code == "NoSuchUpload":
            raise NoSuchUpload from error
        if code in ("404", "NoSuchKey"):
            raise FileNotFoundError from error
        raise _away(error) from error
    except BotoCoreError as error:
        raise _away(error) from error


def _away(error: Exception) -> BucketAway:
    logger.error("the bucket for uploads: %s", error)
    return BucketAway(
        "The storage for files does not do its part at the moment. What has arrived is kept: "
        "try again in a minute. If it stays like this, tell your ops staff; the log has the reason."
    )
