"""Reading a review, page by page: what an import would create and update, old and new."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.utils.http import urlencode

from catalog.models import Change
from catalog.queries.filters import BadFilter
from catalog.queries.products import FieldChange
from catalog.sql import compare
from catalog.values import FIELDS
from imports.models import ImportJob
from imports.sql import staging

__all__ = [
    "FLAGS",
    "MAX_PAGE_SIZE",
    "NoReview",
    "ReviewPage",
    "read_page",
    "review_context",
    "shown",
]

PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
ACTIONS = {"created": compare.CREATED, "updated": compare.UPDATED}
FLAGS = {
    "tenfold": compare.FLAG_TENFOLD,
    "scientific": compare.FLAG_SCIENTIFIC,
    "lost_zeros": compare.FLAG_LOST_ZEROS,
    "decimal": compare.FLAG_DECIMAL,
    "date": compare.FLAG_DATE,
    "alike": compare.FLAG_ALIKE,
    "wiped": compare.FLAG_WIPED,
}


class NoReview(Exception):
    """There is no review to read; the message says why."""


@dataclass(frozen=True)
class ReviewRow:
    """One product that an import would create or update."""

    sku: str
    line: int
    action: str
    changes: list[FieldChange]


@dataclass(frozen=True)
class ReviewPage:
    """Some rows of a review, in the order of their SKUs; cursors or empty texts around them.

    ``count`` are all that match the filters.
    """

    rows: list[ReviewRow]
    count: int
    next: str
    previous: str


def read_page(job: ImportJob, given: Mapping[str, str]) -> ReviewPage:
    """A page of a job's review; ``given`` holds filters, ``cursor`` and ``page_size``.

    Raises ``NoReview`` and ``BadFilter``. A page costs the same wherever it is.
    """
    if not job.review:
        raise NoReview("This import was not reviewed: upload a file with “review” to see before.")
    if not job.shown:
        raise NoReview("There is nothing to see yet. The import is still read and compared.")
    action, field, flag = (
        _choice(given, name, choices)
        for name, choices in (("action", ACTIONS), ("field", FIELDS), ("flag", FLAGS))
    )
    if field and action == "created":
        raise BadFilter({"field": "A field is updated; leave out “action=created”."})
    size = _size(given.get("page_size"))
    backwards, place = _place(given.get("cursor", ""))
    with connection.cursor() as cursor:
        if not staging.review_exists(cursor, job.pk):
            raise NoReview("The review is no longer kept. The change set has what was changed.")
        found = staging.read_review(
            cursor,
            job.pk,
            after=place,
            limit=size + 1,
            action=ACTIONS.get(action, ""),
            fields=Change.Field[field.upper()] if field else 0,
            flags=FLAGS.get(flag, 0),
            backwards=backwards,
        )
    more = len(found) > size
    rows = (found[1:] if backwards else found[:size]) if more else found
    return ReviewPage(
        rows=[_row(row) for row in rows],
        count=_count(job, action, field, flag),
        next=_cursor("f", rows[-1]) if rows and (more or backwards) else "",
        previous=_cursor("b", rows[0]) if rows and (more if backwards else place > START) else "",
    )


def shown(value: Any) -> str | bool | None:
    """A value as JSON has it: prices are texts, with two decimals."""
    return value if value is None or isinstance(value, bool) else str(value)


def _row(row: dict[str, Any]) -> ReviewRow:
    created = row["action"] == compare.CREATED
    return ReviewRow(
        sku=row["sku"],
        line=row["line"],
        action="created" if created else "updated",
        changes=[
            FieldChange(name, None if created else row[f"old_{name}"], row[name])
            for name in FIELDS
            if row["fields"] & Change.Field[name.upper()]
        ],
    )


def _count(job: ImportJob, action: str, field: str, flag: str) -> int:
    """How many rows match; where two filters meet, the database has to count."""
    counts, fields, flags = job.shown["counts"], job.shown["fields"], job.shown["flags"]
    if flag and (action or field):
        with connection.cursor() as cursor:
            return staging.count_review(
                cursor,
                job.pk,
                action=ACTIONS.get(action, ""),
                fields=Change.Field[field.upper()] if field else 0,
                flags=FLAGS[flag],
            )
    if flag:
        return int(flags.get(flag, 0))
    if field:
        return int(fields[field])
    return int(counts[action] if action else counts["created"] + counts["updated"])


def _choice(given: Mapping[str, str], name: str, choices: Any) -> str:
    value = given.get(name, "")
    if value and value not in choices:
        raise BadFilter({name: f"There is no {name} “{value}”. There are: {', '.join(choices)}."})
    return value


def _size(text: str | None) -> int:
    if text is None:
        return PAGE_SIZE
    if not text.isascii() or not text.isdigit() or not text.strip("0"):
        raise BadFilter({"page_size": f"Write a whole number from 1 to {MAX_PAGE_SIZE}."})
    return MAX_PAGE_SIZE if len(text) > 9 else min(int(text), MAX_PAGE_SIZE)


# --- For the pages --------------------------------------------------------------------

FLAG_NAMES = {
    "tenfold": "price moves tenfold",
    "scientific": "SKU looks damaged",
    "lost_zeros": "SKU lost its zeros",
    "decimal": "SKU looks like a number",
    "date": "SKU looks like a date",
    "alike": "SKU looks like another",
    "wiped": "price taken away",
}


def review_context(job: ImportJob, given: Any) -> dict[str, Any]:
    """One page of the review, and the chips that filter it with how many each leaves."""
    try:
        page = read_page(job, given)
    except (NoReview, BadFilter) as error:
        return {"no_review": str(error)}
    asked = {name: given[name] for name in ("action", "field", "flag") if given.get(name)}

    def chip(label: str, count: int, **filters: str) -> dict[str, Any]:
        return {
            "label": label,
            "count": count,
            "query": urlencode(filters),
            "current": filters == asked,
        }

    shown = job.shown
    counts, fields, flags = shown["counts"], shown["fields"], shown["flags"]
    return {
        "review": page,
        "review_warnings": shown["warnings"],
        "chips": [
            chip("All", counts["created"] + counts["updated"]),
            *(chip(name, counts[name], action=name) for name in ("created", "updated")),
            *(chip(f"{name} changes", fields[name], field=name) for name in FIELDS if fields[name]),
            *(chip(FLAG_NAMES[name], flags[name], flag=name) for name in FLAG_NAMES if flags.get(name)),
        ],
        "next_query": urlencode({**asked, "cursor": page.next}) if page.next else "",
        "previous_query": urlencode({**asked, "cursor": page.previous}) if page.previous else "",
    }


# --- Cursors: “f12-345”, forwards from a chunk and a place in it -----------------------

START = (0, 0)


def _cursor(direction: str, row: dict[str, Any]) -> str:
    return f"{direction}{row['chunk']}-{row['place']}"


def _place(cursor: str) -> tuple[bool, tuple[int, int]]:
    if not cursor:
        return False, START
    chunk, dash, place = cursor[1:].partition("-")
    numbers = all(part.isascii() and part.isdigit() and len(part) < 10 for part in (chunk, place))
    if cursor[0] not in "fb" or not dash or not numbers:
        raise BadFilter({"cursor": "This cursor is not one of this list: start without it."})
    return cursor[0] == "b", (int(chunk), int(place))
