"""Files in a bucket, of Amazon's or of who speaks like it: signed requests by https."""

import http.client
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, quote, unquote, unquote_plus, urlencode, urlsplit
from xml.etree import ElementTree

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from imports.fetching.address import target_of
from imports.fetching.folder import Listing, clean_name, number
from imports.fetching.schemes import http as web
from imports.fetching.source import Entry, FetchFailed, Known, Limits, Source
from imports.fetching.transfer import Transfer, broken
from product_importer.common import address_guard

PAGE_BYTES = 8 * 1024 * 1024  # of 1,000 names with all that is told of them, at most
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_REGION = re.compile(r"[a-z0-9-]{1,40}")
_CODE = re.compile(rb"<Code>(\w{1,60})</Code>")

_SENTENCES = {
    "NoSuchBucket": ("not_found", "There is no bucket of this name."),
    "InvalidAccessKeyId": ("wrong_password", "The server does not know the access key."),
    "SignatureDoesNotMatch": ("wrong_password", "The server refuses the secret of the access key."),
    "ExpiredToken": ("wrong_password", "The access key has expired."),
    "RequestTimeTooSkewed": ("clock_wrong", "The clocks of this server and the bucket’s differ."),
}


@dataclass(frozen=True)
class _Bucket:
    """``url`` is the bucket's own, without a slash at its end."""

    url: str
    region: str
    source: Source

    def signed(self, url: str) -> dict[str, str]:
        """The headers of a GET; none where no key is given, as for a public bucket."""
        if not self.source.username:
            return {}
        request = AWSRequest("GET", url)
        keys = Credentials(self.source.username, self.source.password)
        S3SigV4Auth(keys, "s3", self.region).add_auth(request)
        return dict(request.headers.items())


def take(source: Source, known: Known, transfer: Transfer) -> bool:
    """Bring the file, or the rest of it, to ``transfer``; ``False``: nothing new."""
    bucket, key = _read(source, transfer.clock.limits)
    if key.endswith("/") or not key:
        listing = Listing(transfer)
        for entry in _names(bucket, key, transfer):
            listing.count()
            if entry.name:  # none: the folder itself
                listing.add(entry)
        key += listing.newest(source.pattern).name
    url = f"{bucket.url}/{quote(key, safe='/~')}"
    name = clean_name(key)
    explain = _explain(source)
    return web.take_from(url, bucket.signed(url), known, transfer, explain=explain, name=name)


def _read(source: Source, limits: Limits) -> tuple[_Bucket, str]:
    """The bucket and the key of an address. Raises ``FetchFailed``."""
    parts = urlsplit(source.url)
    asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
    region = asked.get("region", "us-east-1")
    name = parts.netloc
    if not _BUCKET.fullmatch(name) or not _REGION.fullmatch(region):
        raise FetchFailed("url_invalid", "Write the address like s3://bucket/folder/list.csv.")
    endpoint = asked.get("endpoint", "").rstrip("/")
    if endpoint:
        target_of(endpoint, limits, ports=address_guard.WEB_PORTS)
        if urlsplit(endpoint).query:
            raise FetchFailed("url_invalid", "The endpoint is the address of a server only.")
        url = f"{endpoint}/{name}"
    elif "." in name or "_" in name or name != name.lower():
        # No name of a host that Amazon's certificate is of.
        url = f"https://s3.{region}.amazonaws.com/{name}"
    else:
        url = f"https://{name}.s3.{region}.amazonaws.com"
    return _Bucket(url, region, source), unquote(parts.path.removeprefix("/"), errors="replace")


def _names(bucket: _Bucket, folder: str, transfer: Transfer) -> Iterator[Entry]:
    """The files of a folder, by pages of a thousand."""
    asked = {"list-type": "2", "prefix": folder, "delimiter": "/", "encoding-type": "url"}
    while True:
        url = f"{bucket.url}/?{urlencode(asked, quote_via=quote, safe='~')}"
        page = _page(bucket, url, transfer)
        for found in page.iterfind("{*}Contents"):
            key = unquote_plus(found.findtext("{*}Key") or "")
            size = number(found.findtext("{*}Size") or "")
            modified = found.findtext("{*}LastModified") or ""
            yield Entry(key.removeprefix(folder), size, modified[:40])
        token = page.findtext("{*}NextContinuationToken")
        if not token or token == asked.get("continuation-token"):
            return
        asked["continuation-token"] = token


def _page(bucket: _Bucket, url: str, transfer: Transfer) -> ElementTree.Element:
    signed = bucket.signed(url)
    with web.opened(url, signed, {}, transfer.clock, _explain(bucket.source)) as answer:
        try:
            body = answer.response.read(PAGE_BYTES + 1)
        except (OSError, http.client.HTTPException):
            raise broken("The connection broke off.") from None
    try:
        # A document type could define what unpacks to more than there is room for.
        if len(body) > PAGE_BYTES or b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise ElementTree.ParseError
        return ElementTree.fromstring(body)  # noqa: S314
    except ElementTree.ParseError:
        raise FetchFailed(
            "bad_response", "The server’s list of files is none of a bucket.", temporary=True
        ) from None


def _explain(source: Source) -> web.Explain:
    """What a bucket's refusals mean, by the code in their body."""

    def explain(answer: web.Answer) -> FetchFailed | None:
        status = answer.response.status
        found = _CODE.search(answer.error_body)
        code = found[1].decode() if found else ""
        region = answer.header("x-amz-bucket-region")
        if status in (301, 307, 400) and _REGION.fullmatch(region):
            return FetchFailed(
                "region_wrong", f"The bucket is in another region: add ?region={region}."
            )
        if code in _SENTENCES:
            return FetchFailed(*_SENTENCES[code])
        if status == 403 and not source.username:
            return FetchFailed("password_needed", "The bucket asks for an access key.")
        if status == 403:
            return FetchFailed(
                "forbidden", "The access key may not read this file, or list this folder."
            )
        return None

    return explain
