"""Reading a review, page by page: what an import would create and update, old and new."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.db import connection
from django.utils.http import urlencode

from catalog.field_values import SEPARATOR
from catalog.models import Change
from catalog.queries.filters import BadFilter
from catalog.queries.products import FieldChange
from catalog.sql import compare
from catalog.values import FIELDS
from imports.models import ImportJob
from imports.queries.word_diff import word_diff
from imports.sql import review as sql
from product_importer.common.errors import NotPossible

__all__ = [
    "FLAGS",
    "MAX_PAGE_SIZE",
    "PERCENT_MAX_LENGTH",
    "SORTS",
    "TEXT_MAX_LENGTH",
    "NoReview",
    "ReviewPage",
    "filters_of",
    "read_page",
    "review_context",
    "shown",
]

PAGE_SIZE, MAX_PAGE_SIZE = 50, 200
TEXT_MAX_LENGTH = 1_000  # of what a SKU or a name is to contain
PERCENT_MAX_LENGTH = 20
ACTIONS = {
    "created": compare.CREATED,
    "updated": compare.UPDATED,
    "missing": compare.MISSING,
}
FLAGS = {
    "tenfold": compare.FLAG_TENFOLD,
    "scientific": compare.FLAG_SCIENTIFIC,
    "lost_zeros": compare.FLAG_LOST_ZEROS,
    "decimal": compare.FLAG_DECIMAL,
    "date": compare.FLAG_DATE,
    "alike": compare.FLAG_ALIKE,
    "wiped": compare.FLAG_WIPED,
}
SORTS = ("sku", "-sku", "price_change", "-price_change")
FILTERED = (*FIELDS, "own_fields")  # what a list of changes is filtered by
FILTERS = ("action", "field", "flag", "more_than", "q", "left_out")


class NoReview(NotPossible):
    """There is no review to read; the message says why."""


@dataclass(frozen=True)
class ReviewRow:
    """One product that an import would create or update, or that a full list lacks.

    Of what it lacks ``line`` is the product's number, below zero.
    """

    sku: str
    line: int
    action: str
    changes: list[FieldChange]
    name: str = ""
    product_id: int | None = None
    move: Decimal | None = None  # of the price, in per cent; infinite from 0
    left_out: bool = False

    @property
    def differences(self) -> list[tuple[FieldChange, list[tuple[str, str]]]]:
        """The changes with what differs within their texts, but for prices and states."""
        return [
            (
                change,
                word_diff(change.before or "", change.after or "")
                if self.action == "updated" and change.field in ("sku", "name", "description")
                else [],
            )
            for change in self.changes
        ]


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
    """A page of a job's review; ``given`` holds filters, ``sort``, ``cursor`` and ``page_size``.

    Raises ``NoReview`` and ``BadFilter``. A page costs the same wherever it is.
    """
    if not job.review:
        raise NoReview("This import was not reviewed: upload a file with “review” to see before.")
    if not job.shown:
        raise NoReview("There is nothing to see yet. The import is still read and compared.")
    filters = filters_of(given)
    sort = _choice(given, "sort", SORTS) or "sku"
    by_move = sort.endswith("price_change")
    size = _size(given.get("page_size"))
    backwards, place = _place(given.get("cursor", ""), by_move=by_move)
    with connection.cursor() as cursor:
        if not sql.review_exists(cursor, job.pk):
            raise NoReview("The review is no longer kept. The change set has what was changed.")
        found = sql.read_review(
            cursor,
            job.pk,
            after=place,
            limit=size + 1,
            filters=filters,
            by_move=by_move,
            falling=sort.startswith("-"),
            backwards=backwards,
        )
        count = _known_count(job, filters, by_move=by_move)
        if count is None:
            count = sql.count_review(cursor, job.pk, filters, by_move=by_move)
    more = len(found) > size
    rows = (found[1:] if backwards else found[:size]) if more else found
    begun = more if backwards else place is not None
    return ReviewPage(
        rows=_rows(job, rows),
        count=count,
        next=_cursor("f", rows[-1], by_move=by_move) if rows and (more or backwards) else "",
        previous=_cursor("b", rows[0], by_move=by_move) if rows and begun else "",
    )


def filters_of(given: Mapping[str, str]) -> sql.Filters:
    """The filters of a list of changes. Raises ``BadFilter``."""
    action, field, flag = (
        _choice(given, name, choices)
        for name, choices in (("action", ACTIONS), ("field", FILTERED), ("flag", FLAGS))
    )
    if field and action in ("created", "missing"):
        raise BadFilter({"field": f"A field is updated; leave out “action={action}”."})
    left_out = _choice(given, "left_out", ("yes", "no"))
    text = given.get("q", "").replace("\0", "").strip()
    if len(text) > TEXT_MAX_LENGTH:
        raise BadFilter({"q": f"The text may have {TEXT_MAX_LENGTH:,} characters at most."})
    return sql.Filters(
        action=ACTIONS.get(action, ""),
        fields=Change.Field[field.upper()] if field else 0,
        flags=FLAGS.get(flag, 0),
        more_than=_percent(given.get("more_than", "")),
        text=text,
        left_out=left_out == "yes" if left_out else None,
    )


def _percent(text: str) -> Decimal | None:
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        percent = Decimal(text[:PERCENT_MAX_LENGTH])
    except InvalidOperation:
        percent = Decimal(-1)
    if not percent.is_finite() or not 0 <= percent < 10**9:
        raise BadFilter({"more_than": "Write a number of per cent, like 10."})
    return percent.quantize(Decimal("0.0001")) if percent % 1 else percent


def shown(value: Any) -> str | bool | None:
    """A value as JSON has it: prices are texts, with two decimals; lists as in a file."""
    if isinstance(value, list):
        return SEPARATOR.join(map(str, value))
    return value if value is None or isinstance(value, bool) else str(value)


def _rows(job: ImportJob, found: list[dict[str, Any]]) -> list[ReviewRow]:
    """Rows with what only the catalogue knows of them, and whether they are left out."""
    with connection.cursor() as cursor:
        products = sql.products_of(cursor, [row["sku"] for row in found])
    lines = [row["line"] for row in found]
    left_out = set(
        job.left_out_records.filter(line__in=lines).values_list("line", flat=True)
        if job.left_out
        else ()
    )
    return [_row(row, products.get(row["sku"]), row["line"] in left_out) for row in found]


def _row(row: dict[str, Any], product: tuple[int, str] | None, left_out: bool) -> ReviewRow:
    created = row["action"] == compare.CREATED
    return ReviewRow(
        sku=row["sku"],
        line=row["line"],
        action=next(name for name, code in ACTIONS.items() if code == row["action"]),
        changes=[
            FieldChange(name, None if created else row[f"old_{name}"], row[name])
            for name in FIELDS
            if row["fields"] & Change.Field[name.upper()]
        ]
        + _own_changes(row),
        name=row["name"] or (product[1] if product else row["old_name"] or ""),
        product_id=product[0] if product else None,
        move=None if created else row["move"],
        left_out=left_out,
    )


def _own_changes(row: dict[str, Any]) -> list[FieldChange]:
    """What becomes of own fields; a review of an older release has none."""
    before = json.loads(row.get("old_own_fields") or "{}")
    after = json.loads(row.get("own_fields") or "{}")
    return [
        FieldChange(f"fields.{key}", before.get(key), after.get(key))
        for key in sorted(before.keys() | after.keys())
        if before.get(key) != after.get(key)
    ]


def _known_count(job: ImportJob, filters: sql.Filters, *, by_move: bool) -> int | None:
    """How many rows match, where the review's sums tell; else the database has to count."""
    counts, fields, flags = job.shown["counts"], job.shown["fields"], job.shown["flags"]
    if by_move:
        return None
    if filters == sql.Filters():
        return int(sum(counts.get(name, 0) for name in ACTIONS))
    for name, action in ACTIONS.items():
        if filters == sql.Filters(action=action):
            return int(counts.get(name, 0))
    for name in FILTERED:
        if filters == sql.Filters(fields=Change.Field[name.upper()]):
            return int(fields.get(name, 0))
    for name, flag in FLAGS.items():
        if filters == sql.Filters(flags=flag):
            return int(flags.get(name, 0))
    return None


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
    """One page of the review, the chips that filter it, and the filters as they are."""
    try:
        page = read_page(job, given)
    except NoReview as error:
        return {"no_review": str(error)}
    except BadFilter as error:
        return {"bad_filter": str(error), **review_context(job, {})}
    asked: dict[str, str] = {name: given[name] for name in (*FILTERS, "sort") if given.get(name)}
    others = {name: asked[name] for name in ("more_than", "q", "left_out", "sort") if name in asked}

    def chip(label: str, count: int | None, **filters: str) -> dict[str, Any]:
        chosen: dict[str, str] = others | filters
        return {
            "label": label,
            "count": count,
            "query": urlencode(chosen),
            "current": chosen == asked,
        }

    # A count is of the chip alone: beside other filters it would be another one.
    def alone(count: int) -> int | None:
        return None if {"more_than", "q", "left_out"} & asked.keys() else count

    shown = job.shown
    counts, fields, flags = shown["counts"], shown["fields"], shown["flags"]
    return {
        "review": page,
        "review_warnings": [one for one in shown["warnings"] if one not in job.warnings],
        "asked": asked,
        "asked_query": urlencode(asked),
        "sorts": _sorts(asked),
        "chips": [
            chip("All", alone(sum(counts.get(name, 0) for name in ACTIONS))),
            *(chip(name, alone(counts[name]), action=name) for name in ACTIONS if name in counts),
            *(
                chip(f"{name.replace('_', ' ')} changes", alone(fields[name]), field=name)
                for name in FILTERED
                if fields.get(name)
            ),
            *(
                chip(FLAG_NAMES[name], alone(flags[name]), flag=name)
                for name in FLAG_NAMES
                if flags.get(name)
            ),
        ],
        "next_query": urlencode({**asked, "cursor": page.next}) if page.next else "",
        "previous_query": urlencode({**asked, "cursor": page.previous}) if page.previous else "",
    }


def _sorts(asked: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The links of the columns that sort: the other way round, if they do already."""
    now = asked.get("sort", "sku")
    links = {}
    for name in ("sku", "price_change"):
        first = "-price_change" if name == "price_change" else "sku"
        second = first[1:] if first[0] == "-" else f"-{first}"
        links[name] = {
            "query": urlencode({**asked, "sort": second if now == first else first}),
            "order": {name: "ascending", f"-{name}": "descending"}.get(now, "none"),
        }
    return links


# --- Cursors: “f12-345”, forwards from a chunk and a place in it; “f-7.5:12-345” by the change ----


def _cursor(direction: str, row: dict[str, Any], *, by_move: bool) -> str:
    move = f"{row['move']}:" if by_move else ""
    return f"{direction}{move}{row['chunk']}-{row['place']}"


def _place(cursor: str, *, by_move: bool) -> tuple[bool, tuple[Any, ...] | None]:
    if not cursor:
        return False, None
    move, colon, rest = cursor[1:].rpartition(":")
    chunk, dash, place = rest.partition("-")
    numbers = all(part.isascii() and part.isdigit() and len(part) < 10 for part in (chunk, place))
    if cursor[0] not in "fb" or not dash or not numbers or bool(colon) != by_move:
        raise _bad_cursor()
    where = (int(chunk), int(place))
    return cursor[0] == "b", (_move(move), *where) if by_move else where


def _move(text: str) -> Decimal:
    try:
        move = Decimal(text)
    except InvalidOperation:
        raise _bad_cursor() from None
    if len(text) > 60 or move.is_nan() or (move.is_finite() and not -(10**15) < move < 10**15):
        raise _bad_cursor()
    return move


def _bad_cursor() -> BadFilter:
    return BadFilter({"cursor": "This cursor is not one of this list: start without it."})
