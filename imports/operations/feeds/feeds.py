"""Feeds as people make, change, run and delete them."""

import json
import re
from collections.abc import Callable, Mapping
from fnmatch import translate
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone

from imports.fetching.fetch import _TAKES
from imports.models import (
    CREDENTIAL_MAX_LENGTH,
    NAME_MAX_LENGTH,
    Feed,
    FeedRun,
    Format,
    ImportJob,
    Supplier,
)
from imports.operations.feeds.runs import cipher
from imports.operations.feeds.schedule import next_run_of, wake_fetcher
from imports.operations.suppliers import Invalid, clean_name
from imports.schedule import ScheduleError, next_time, zone_of
from product_importer.common import address_guard
from product_importer.common.errors import NotPossible

SCHEMES = tuple(_TAKES)  # what can be fetched: an address of another kind is refused at once
SECRET_MAX_LENGTH = 20_000  # characters: a private key has a few thousand
MAX_HEADERS = 20
DISABLED_BY_HAND = "Switched off by hand."
# The address, and what belongs to it: with another one, nothing is known of what was there.
SOURCE = ("url", "username", "pattern")
OWNERS = (*SOURCE, "full_list")  # whoever changes one of these owns the feed
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
# What a fetch says itself.
_OWN_HEADERS = {
    *("host", "content-length", "transfer-encoding", "connection", "accept-encoding", "range"),
    *("if-range", "if-none-match", "if-modified-since"),
}

_Errors = dict[str, tuple[str, str]]


class NotNow(NotPossible):
    """The act does not fit to how things stand; the message says why."""


@transaction.atomic
def create_feed(*, supplier_id: int, user: User | None, **values: Any) -> Feed:
    """Make a feed of a supplier; see ``_clean`` for the values. Raises ``Invalid``."""
    supplier = Supplier.objects.select_for_update().filter(pk=supplier_id).first()
    if supplier is None:
        raise Invalid({"supplier": ("does_not_exist", "There is no such supplier.")})
    feed = Feed(supplier=supplier, created_by=user, time_zone=settings.TIME_ZONE)
    missing = {
        name: ("required", "This is needed.")
        for name in ("name", "url", "schedule")
        if not values.get(name)
    }
    _apply(feed, values, missing)
    feed.next_run_at = next_run_of(feed, timezone.now()) if feed.enabled else None
    feed.save()
    return feed


@transaction.atomic
def update_feed(*, feed_id: int, user: User | None = None, **values: Any) -> Feed:
    """Change a feed. What it is fetching by another address is left.

    It belongs to whoever says last what is fetched, or that it is a whole list: ``user`` then.
    Raises ``Invalid``, also for another server without its password, key and headers written
    again: whoever may change an address is not to be sent what another server was told.
    """
    feed = _locked(feed_id)
    if values.pop("supplier_id", feed.supplier_id) != feed.supplier_id:
        raise Invalid({"supplier": ("invalid", "A feed stays its supplier's.")})
    before = {name: getattr(feed, name) for name in (*OWNERS, "schedule", "time_zone", "enabled")}
    errors: _Errors = {}
    if "url" in values and _server(str(values["url"])) != _server(feed.url):
        errors = {
            name: ("required", "The address is of another server: write this again, or clear it.")
            for name in feed.secrets_set
            if values.get(name) is None
        }
    _apply(feed, values, errors)
    if any(getattr(feed, name) != before[name] for name in SOURCE):
        feed.known = {}
        if _server(feed.url) != _server(before["url"]):
            feed.host_key = ""
        stop_runs(feed, "The feed was changed while it was fetched: nothing was imported.")
    if user and (values.get("headers") or any(getattr(feed, n) != before[n] for n in OWNERS)):
        feed.created_by = user
    if feed.enabled and not before["enabled"]:
        feed.disabled_reason = ""
    if before["enabled"] and not feed.enabled:
        feed.disabled_reason = DISABLED_BY_HAND
        stop_runs(feed, "The feed was switched off while it was fetched: nothing was imported.")
    now = timezone.now()
    if any(getattr(feed, name) != before[name] for name in ("schedule", "time_zone", "enabled")):
        feed.next_run_at = next_run_of(feed, now) if feed.enabled else None
    feed.changed_at = now
    feed.save()
    return feed


@transaction.atomic
def delete_feed(*, feed_id: int) -> None:
    """With its runs; what it is fetching is left. Its imports stay.

    Raises ``NotNow`` while it tells of an import who may not apply it.
    """
    feed = _locked(feed_id)
    if feed.supplier.second_person and _may_be_applied_yet(feed):
        raise NotNow(
            f"Imports of {feed.supplier} are applied by a second person, and one of this feed is "
            "not applied yet that somebody else had fetched. Apply it, or switch the feed off "
            "in place of deleting it."
        )
    feed.delete()


def _may_be_applied_yet(feed: Feed) -> bool:
    """Whether there is an import that would be its owner's to apply if the feed were forgotten.

    One that was discarded, or failed, can be gone on with as long as its file is kept.
    """
    open_ones = ImportJob.objects.filter(feed=feed).exclude(status=ImportJob.Status.COMPLETED)
    others = open_ones.exclude(created_by=feed.created_by_id)
    return others.exclude(file="", status__in=ImportJob.FINAL).exists()


@transaction.atomic
def ask_for_run(*, feed_id: int, user: User | None) -> FeedRun:
    """Have a feed fetched now, also one that is switched off.

    The one that is under way already, if there is one: at once, if it waits for its next try.
    """
    feed = _locked(feed_id)
    now = timezone.now()
    if run := feed.runs.filter(state=FeedRun.State.RUNNING).first():
        waiting = feed.runs.filter(pk=run.pk, leased_by=None, next_try_at__gt=now)
        if waiting.update(next_try_at=now):
            wake_fetcher()
        return run
    run = FeedRun.objects.create(feed=feed, asked_by=user, at=now, next_try_at=now)
    Feed.objects.filter(pk=feed_id).update(changed_at=now)
    wake_fetcher()
    return run


def stop_runs(feed: Feed, message: str) -> None:
    """End the run that is under way, if any: the worker that has it finds that it is over."""
    feed.runs.filter(state=FeedRun.State.RUNNING).update(
        state=FeedRun.State.STOPPED,
        message=message,
        finished_at=timezone.now(),
        next_try_at=None,
        leased_by=None,
    )


def find_feed(text: str) -> Feed:
    """A feed by its id, its name, or ``SUPPLIER/NAME``. Raises ``NotNow`` where none is meant."""
    text = text.replace("\0", "").strip()
    feeds = Feed.objects.select_related("supplier", "format", "created_by")
    found = list(feeds.filter(name__iexact=text)[:2])
    if not found and text.isascii() and text.isdigit() and len(text) < 19:
        found = list(feeds.filter(pk=int(text)))
    for place in [place for place, letter in enumerate(text) if letter == "/"][:10]:
        if not found:
            supplier, name = text[:place].strip(), text[place + 1 :].strip()
            found = list(feeds.filter(supplier__name__iexact=supplier, name__iexact=name))
    if not found:
        raise NotNow(f"There is no feed “{text[:200]}”. /feeds/ lists them.")
    if len(found) > 1:
        raise NotNow(f"Several suppliers have a feed “{text[:200]}”. Write SUPPLIER/{text[:200]}.")
    return found[0]


def _locked(feed_id: int) -> Feed:
    """Its runs are locked after it, everywhere. Raises ``Feed.DoesNotExist``."""
    return Feed.objects.select_for_update(of=("self",)).get(pk=feed_id)


# --- Values ---------------------------------------------------------------------------


def _apply(feed: Feed, values: Mapping[str, Any], errors: _Errors) -> None:
    """Set what is given. Raises ``Invalid`` with every value that is wrong, and ``errors``.

    ``password``, ``private_key`` (text) and ``headers`` (a mapping): ``None`` leaves what is
    there, blank takes it away.
    """
    for name, value in values.items():
        try:
            _CLEAN[name](feed, value)
        except Invalid as invalid:
            errors.update(dict(invalid.errors.items()))
    for name, check in (("time_zone", zone_of), ("schedule", _check_schedule(feed))):
        if name not in errors:
            try:
                check(getattr(feed, name))
            except ScheduleError as error:
                errors[name] = ("invalid", str(error))
                break
    if not errors:
        others = Feed.objects.filter(supplier=feed.supplier, name__iexact=feed.name)
        if others.exclude(pk=feed.pk).exists():
            text = f"The supplier has a feed “{feed.name}” already."
            errors["name"] = ("unique", text)
    if errors:
        raise Invalid(errors)


def _check_schedule(feed: Feed) -> Callable[[str], Any]:
    return lambda text: next_time(text, feed.time_zone, timezone.now())


def _name(feed: Feed, value: str) -> None:
    feed.name = clean_name(value)


def _format(feed: Feed, value: int | None) -> None:
    feed.format = None
    if value is not None:
        feed.format = Format.objects.filter(pk=value).first()
        if feed.format is None:
            raise Invalid({"format": ("does_not_exist", "There is no such format.")})
        if feed.format.supplier_id not in (None, feed.supplier_id):
            raise Invalid({"format": ("invalid", "This is a format of another supplier.")})


def _url(feed: Feed, value: str) -> None:
    feed.url = value.strip()
    try:
        check_address(feed.url)
    except address_guard.Refused as refused:
        raise Invalid({"url": (refused.code, str(refused))}) from refused


def check_address(url: str) -> None:
    """Raises ``address_guard.Refused`` for an address that cannot or may not be fetched from.

    A name is not looked up: that is done for every connection.
    """
    scheme, colon, rest = url.partition("://")
    if not colon or scheme.lower() not in SCHEMES:
        raise address_guard.Refused(
            "scheme_not_allowed",
            f"An address begins with {'://, '.join(SCHEMES)}:// or is a link to a Google Sheet.",
        )
    if len(url) > address_guard.MAX_LENGTH or not url.isprintable():
        raise address_guard.Refused("url_invalid", "The address is too long, or not plain text.")
    # The rules for hosts are the same for every scheme; a sheet's link names the sheet behind #.
    address_guard.check_url(
        f"https://{rest.partition('#')[0]}", allowed=settings.WEBHOOK_ALLOWED_CIDRS
    )


def _server(url: str) -> tuple[str, str]:
    """What a password is for: scheme, host and port; a bucket's has its endpoint as well."""
    try:
        parts = urlsplit(url.strip())
    except ValueError:  # no address: the reason is told by who checks it
        return "", ""
    endpoint = parts.query if parts.scheme.lower() == "s3" else ""
    return parts.scheme.lower(), f"{parts.netloc.lower()}?{endpoint}"


def _pattern(feed: Feed, value: str) -> None:
    feed.pattern = value.strip()
    if "/" in feed.pattern or not feed.pattern.isprintable():
        raise Invalid({"pattern": ("invalid", "Write a file's name, such as prices-*.csv.")})
    if len(feed.pattern) > NAME_MAX_LENGTH or feed.pattern.count("*") > 5:
        text = f"At most {NAME_MAX_LENGTH} characters, and five stars, are allowed."
        raise Invalid({"pattern": ("max_length", text)})
    re.compile(translate(feed.pattern))


def _plain(name: str, limit: int) -> Callable[[Feed, Any], None]:
    def clean(feed: Feed, value: str) -> None:
        if len(value) > limit:
            text = f"This has {len(value):,} characters; at most {limit:,} are allowed."
            raise Invalid({name: ("max_length", text)})
        if not value.isprintable():
            raise Invalid({name: ("invalid", "This holds a line break or a control character.")})
        setattr(feed, name, value)

    return clean


def _password(feed: Feed, value: str | None) -> None:
    if value is None:
        return
    if len(value) > SECRET_MAX_LENGTH or not value.isprintable():
        text = "A password is one line, without control characters."
        raise Invalid({"password": ("invalid", text)})
    feed.password_token = cipher.encrypt(value) if value else ""


def _private_key(feed: Feed, value: str | None) -> None:
    if value is None:
        return
    text = value.strip()
    is_key = text.isascii() and "PRIVATE KEY-----" in text and len(text) <= SECRET_MAX_LENGTH
    if text and not is_key:
        sentence = (
            "This is no private key: it begins with a line such as “-----BEGIN OPENSSH PRIVATE "
            "KEY-----”. A public key (ssh-ed25519 …) goes to the supplier."
        )
        raise Invalid({"private_key": ("invalid", sentence)})
    feed.private_key_token = cipher.encrypt(text + "\n") if text else ""


def _headers(feed: Feed, value: Mapping[str, str] | None) -> None:
    if value is None:
        return
    if len(value) > MAX_HEADERS:
        raise Invalid({"headers": ("max_length", f"At most {MAX_HEADERS} headers are sent.")})
    for name, text in value.items():
        if not _HEADER.fullmatch(name) or name.lower() in _OWN_HEADERS:
            raise Invalid({"headers": ("invalid", f"A header “{name[:60]}” cannot be sent.")})
        if not isinstance(text, str) or not text.isprintable() or len(text) > SECRET_MAX_LENGTH:
            sentence = f"The value of “{name}” is not a line of text."
            raise Invalid({"headers": ("invalid", sentence)})
    feed.headers_token = cipher.encrypt(json.dumps(dict(value))) if value else ""


def _host_key(feed: Feed, value: str) -> None:
    if value:
        text = "It is taken from the server. Clear it, so that the next fetch takes a new one."
        raise Invalid({"host_key": ("invalid", text)})
    feed.host_key = ""


def _flag(name: str) -> Callable[[Feed, Any], None]:
    return lambda feed, value: setattr(feed, name, bool(value))


_CLEAN: dict[str, Callable[[Feed, Any], None]] = {
    "name": _name,
    "format_id": _format,
    "url": _url,
    "username": _plain("username", CREDENTIAL_MAX_LENGTH),
    "pattern": _pattern,
    "password": _password,
    "private_key": _private_key,
    "headers": _headers,
    "host_key": _host_key,
    "schedule": _plain("schedule", 200),
    "time_zone": _plain("time_zone", 64),
    "full_list": _flag("full_list"),
    "enabled": _flag("enabled"),
}
