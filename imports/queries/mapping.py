"""How a file would be read: its dialect, its columns, what is unclear, its first records.

Only the beginning of a file is read, but for its encoding where that is to be found out.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, BinaryIO, cast

from catalog.field_values import FIELDS_AT_MOST, Definition, as_text
from catalog.operations.fields import READY_MADE
from catalog.queries.own_fields.fields import definitions, names_taken, skus_by_value, there_are
from imports.mapping.formats import read_as, under
from imports.mapping.matching.match import Matched, match
from imports.mapping.matching.proposing import propose
from imports.mapping.matching.table import OWN_COLUMNS
from imports.mapping.model import OWN_PREFIX
from imports.mapping.own import fitting
from imports.mapping.questions import Question
from imports.mapping.rules import AUTO, Rules, RulesError, own_key, parse_rules, rules_as_json
from imports.mapping.values import compile_plan
from imports.models import Format, ImportJob
from imports.queries.formats import known, memory_of, most_alike, recognise
from imports.readers.csv import Layout
from imports.readers.csv.dialect.finding import Dialect, find_dialect
from imports.readers.csv.sample import SampleRecord, read_sample
from imports.readers.unpack import NeedsChoice, peek
from product_importer.common.errors import NotPossible

COLUMN_NAME_MAX_LENGTH = 1_000
PREVIEW_RECORDS = 50
PROPOSED_BY = 200  # values of a column that say what field it could be
CELL_SHOWN = 500  # characters of a cell in a preview
DIALECT = ("encoding", "delimiter", "quote", "header_line")


class NoMapping(NotPossible):
    """There is no mapping to show; the message says why."""


@dataclass(frozen=True)
class Found:
    """What a look at a file's beginning found out; ``format`` is the one that it is read as."""

    dialect: Dialect
    records: list[SampleRecord]
    matched: Matched
    format: Format | None = None
    asked: list[Question] = field(default_factory=list)  # about the format
    own: Mapping[str, Definition] = field(default_factory=dict)  # the own fields that there are
    supplier: int | None = None  # whose file it is

    @property
    def questions(self) -> list[Question]:
        return [*self.dialect.questions, *self.asked, *self.matched.questions]

    @property
    def rules(self) -> Rules:
        """Every rule of the dialect with the value that holds: nothing is left to be found out."""
        return replace(
            self.matched.rules, **{name: getattr(self.dialect, name) for name in DIALECT}
        )

    def layout(self) -> Layout:
        """What the reader goes by; of rules without questions. Raises ``RulesError``."""
        dialect, rules = self.dialect, self.matched.rules
        plan = compile_plan(rules, dialect.header, self.own)
        layout = dialect.layout(plan.fields, self.matched.notes)
        if plan.own is not None:
            used = [self.own[taker.key] for taker in plan.own.takers]
            layout = replace(layout, own=[asdict(one) for one in used])
        is_bare = plan.is_plain and plan.own is None
        return layout if is_bare else replace(layout, rules=rules_as_json(rules))


def look(job: ImportJob, file: BinaryIO, rules: Rules) -> Found:
    """Find out how a file is to be read under these rules. Raises ``UnreadableFile``.

    They go before those of the job's format, or of the one that the columns belong to. Raises
    ``RulesError`` for rules that do not fit to the file.
    """
    found = _within_rights(job, _look(job, file, rules))
    whose = found.format.supplier_id if found.format else None
    return replace(found, supplier=job.supplier_id or whose)


def _within_rights(job: ImportJob, found: Found) -> Found:
    """Without the rules that add words to lists, where the job's user may not change fields."""
    adding = [rule for rule in found.matched.rules.columns if rule.otherwise == "add"]
    user = job.mapped_by or job.created_by
    if not adding or user is None or user.has_perm("catalog.change_field"):
        return found
    columns = [
        replace(rule, otherwise=None) if rule in adding else rule
        for rule in found.matched.rules.columns
    ]
    note = f"Words that a list does not have are refused: {user} may not change fields."
    rules = replace(found.matched.rules, columns=tuple(columns))
    matched = replace(found.matched, rules=rules, notes=[*found.matched.notes, note])
    return replace(found, matched=matched)


def _look(job: ImportJob, file: BinaryIO, rules: Rules) -> Found:
    named = job.format if not rules.columns else None
    if named is not None:
        rules = under(rules, known(named).rules)
    dialect = _dialect(file, rules)
    formats = [named] if named is not None else []
    if not formats and not rules.columns:
        formats = recognise(dialect.header, job.supplier)
    if len(formats) == 1:
        rules = under(rules, parse_rules(formats[0].rules))
        if any(getattr(rules, name) not in (AUTO, getattr(dialect, name)) for name in DIALECT):
            dialect = _dialect(file, rules)
    records = read_sample(file, dialect)
    cells = [record.cells for record in records]
    memory = memory_of(job.supplier)
    own = memory.own.definitions
    if len(formats) == 1:
        described = replace(known(formats[0]), rules=rules)
        matched = read_as(described, dialect.header, cells, memory)
        return Found(dialect, records, matched, formats[0], own=own)
    matched = match(dialect.header, cells, rules, memory)
    if job.format is not None and job.format_version is not None:  # it is settled, and read again
        title = f"{job.format}, version {job.format_version}"
        title = str(job.format) if job.format.ready_made else title
        matched = replace(matched, notes=[f"Read as {title}.", *matched.notes])
    if len(formats) > 1:
        return Found(dialect, records, matched, asked=[_which(formats)], own=own)
    if matched.questions and not rules.columns:
        alike = most_alike(dialect.header, job.supplier)
        if alike is not None:
            described = replace(known(alike), rules=under(rules, parse_rules(alike.rules)))
            changed = read_as(described, dialect.header, cells, memory)
            return Found(dialect, records, changed, alike, own=own)
    return Found(dialect, records, matched, own=own)


def _dialect(file: BinaryIO, rules: Rules) -> Dialect:
    try:
        dialect = find_dialect(file, **{name: getattr(rules, name) for name in DIALECT})
    except LookupError as error:
        raise RulesError([f"encoding: “{rules.encoding}” is not one that is read."]) from error
    return _with_short_names(dialect)


def _with_short_names(dialect: Dialect) -> Dialect:
    """With the beginnings of names that are too long to be any: the job keeps them all."""
    long = [n for n, name in enumerate(dialect.header, 1) if len(name) > COLUMN_NAME_MAX_LENGTH]
    if not long:
        return dialect
    name = dialect.header[long[0] - 1]
    more = f" (and of {len(long) - 1} more)" if len(long) > 1 else ""
    warning = (
        f"The name of column {long[0]}{more} has {len(name):,} characters, “{name[:40]} …”: its "
        f"first {COLUMN_NAME_MAX_LENGTH:,} are taken. Look whether line {dialect.header_line:,} "
        "names the columns."
    )
    return replace(
        dialect,
        header=[name[:COLUMN_NAME_MAX_LENGTH].rstrip() for name in dialect.header],
        warnings=[*dialect.warnings, warning],
    )


def _which(formats: list[Format]) -> Question:
    names = " and ".join(f"“{one}”" for one in formats[:5])
    return Question(
        "several_formats",
        "",
        f"Files with these columns are known as {names}, which are read in different ways. Say "
        "which one this is.",
    )


# --- Of a job -------------------------------------------------------------------------


def mapping_of(job: ImportJob) -> dict[str, Any]:
    """How a job's file is read, or would be: the API's mapping.

    Raises ``NoMapping``, ``UnreadableFile``, and ``RulesError`` for rules that do not fit to it.
    """
    Status, Stage = ImportJob.Status, ImportJob.Stage
    before = job.status in ImportJob.ACTIVE and job.stage in ("", Stage.UNPACKING, Stage.MATCHING)
    if before:
        raise NoMapping("A worker has still to look at the file. Ask again in a moment.")
    if job.status == Status.AWAITING_MAPPING:
        return _as_found(job)
    return _by_kept_rules(job, job.rules)


def _as_found(job: ImportJob) -> dict[str, Any]:
    """Of a job that waits: by the dialect that was found, with the questions as they were asked."""
    if job.unpacked and not job.table:  # nobody has said yet which of its tables is meant
        return {**_EMPTY, **_packing(job), **job.found}
    shown = _by_kept_rules(job, job.found["rules"])
    return {**shown, "questions": job.found["questions"]}


def _by_kept_rules(job: ImportJob, kept: Mapping[str, Any]) -> dict[str, Any]:
    """By rules of before: own fields may have been retired, deleted or changed since."""
    rules, unfit = fitting(parse_rules(kept), definitions())
    shown = preview(job, rules)
    return {**shown, "notes": [*unfit, *shown["notes"]]}


_EMPTY: dict[str, Any] = {"columns": [], "notes": [], "preview": [], "format": None}


def preview(job: ImportJob, rules: Rules) -> dict[str, Any]:
    """The same under other rules; nothing is kept."""
    return {**found_as_json(look_at_job(job, rules)), **_packing(job)}


def found_as_json(found: Found) -> dict[str, Any]:
    """What a look found out: the rules, the questions, the columns, the first records."""
    return {
        "rules": rules_as_json(found.rules),
        "questions": [asdict(question) for question in found.questions],
        "columns": columns_as_json(found),
        "notes": [*found.dialect.warnings, *found.matched.notes],
        "preview": _preview(found),
        "format": format_as_json(found.format),
    }


def look_at_job(job: ImportJob, rules: Rules) -> Found:
    """The look at a job's file, or at the sheet or the member of it that the rules name.

    Raises ``NoMapping``, ``UnreadableFile`` and ``RulesError``.
    """
    if not job.has_file:
        raise NoMapping("The uploaded file is no longer kept: there is nothing to look at.")
    try:
        if needs_unpacking(job, rules):
            with job.file.open("rb") as handle:
                source = cast(BinaryIO, handle.file)
                table = peek(source, sheet=rules.sheet, member=rules.member, rows=600)
            return look(job, io.BytesIO(table), rules)
        with job.readable.open("rb") as handle:
            return look(job, cast(BinaryIO, handle.file), rules)
    except FileNotFoundError as error:
        raise NoMapping("The uploaded file is no longer in the storage.") from error
    except NeedsChoice as choice:
        names = ", ".join(f"“{name[:80]}”" for name in choice.members[:20])
        problem = f"member: The archive holds several tables: {names}. Name the one to read."
        raise RulesError([problem]) from choice


def needs_unpacking(job: ImportJob, rules: Rules) -> bool:
    """Whether rules want another part of a packed file than the one that is unpacked."""
    if not job.unpacked:
        return False
    sheet, member = (job.unpacked.get(name, "") for name in ("sheet", "member"))
    asked = sheet_name(job.unpacked.get("sheets", ()), rules.sheet)
    return not job.table or asked not in (AUTO, sheet) or rules.member not in (AUTO, member)


def sheet_name(sheets: Sequence[str], sheet: str | int) -> str | int:
    """The name of a sheet that rules name by its number (from 1), if there is one."""
    return sheets[sheet - 1] if isinstance(sheet, int) and sheet <= len(sheets) else sheet


def _packing(job: ImportJob) -> dict[str, Any]:
    return {name: list(job.unpacked.get(name, ())) for name in ("sheets", "members")}


def format_as_json(found: Format | None) -> dict[str, Any] | None:
    if found is None:
        return None
    supplier = found.supplier.name if found.supplier else None
    return {"id": found.pk, "supplier": supplier, "name": found.name, "version": found.version}


def columns_as_json(found: Found) -> list[dict[str, Any]]:
    proposed = _proposed(found)
    return [
        {
            **asdict(column),
            "samples": list(column.samples),
            "proposed_field": proposed.get(column.index),
        }
        for column in found.matched.columns
    ]


def _proposed(found: Found) -> dict[int, dict[str, Any]]:
    """What fields of one's own could be made of the columns that nothing reads, by number.

    No more than the catalogue has room for.
    """
    fields = names_taken()
    room = FIELDS_AT_MOST - len(there_are())
    taken = {text.casefold() for pair in fields for text in pair}
    proposed: dict[int, dict[str, Any]] = {}
    for column in found.matched.columns:
        if len(proposed) >= room:
            break
        place = column.index - 1
        values = [record.cells[place] for record in found.records if place < len(record.cells)]
        if column.field or column.name in OWN_COLUMNS or not any(map(str.strip, values)):
            continue
        one = propose(column.name, values[:PROPOSED_BY], taken, READY_MADE)
        taken |= {one.label.casefold(), one.key}
        proposed[column.index] = one.as_json()
    return proposed


def _preview(found: Found) -> list[dict[str, Any]]:
    """The first records: as they stand, as they would be stored, and what is wrong with them."""
    header = found.dialect.header
    rules = found.matched.rules
    named = {rule.field for rule in rules.columns}
    if rules.key not in named:
        return []  # nothing says what a record is
    plan = compile_plan(rules, header, found.own)
    rows: list[dict[str, Any]] = []
    for line, cells in found.records[:PREVIEW_RECORDS]:
        filled = [*cells, *[""] * (len(header) - len(cells))]
        cleaned = plan.clean(filled)
        rows.append(
            {
                "line": line,
                "raw": {
                    name: filled[place][:CELL_SHOWN]
                    for name, place in plan.fields.items()
                    if place >= 0
                },
                "values": {
                    **{name: _shown(name, value) for name, value in cleaned.values.items()},
                    **_own_shown(cleaned.own),
                },
                "problems": [
                    {"column": header[one.column], "code": one.code, "message": one.message}
                    for one in cleaned.problems
                ],
                "skipped": cleaned.left_out,
            }
        )
    if own_key(rules):
        _find_products(found, rows, header[plan.fields[rules.key]])
    return rows


def _find_products(found: Found, rows: list[dict[str, Any]], column: str) -> None:
    """Tell the SKUs of the products that the first records are about, as their key says."""
    rules, key = found.matched.rules, own_key(found.matched.rules)
    has_sku = any(rule.field == "sku" for rule in rules.columns)
    values = {row["values"].get(rules.key) for row in rows} - {None}
    # Of an unknown supplier nobody brought anything in: the rules may still be remembered for one.
    within = found.supplier or 0 if rules.key_within == "supplier" else None
    skus = skus_by_value(key, values, supplier=within)
    for row in rows:
        value = row["values"].get(rules.key)
        if row["problems"] or row["skipped"] or value is None:
            continue
        of_it = skus.get(str(value), [])
        if len(of_it) == 1:
            row["values"]["sku"] = of_it[0]
        elif of_it:
            row["problems"].append(_unmatched(column, "several_match", ", ".join(of_it[:5])))
        elif rules.no_match == "refuse":
            row["problems"].append(_unmatched(column, "no_match"))
        elif not has_sku:
            row["values"]["sku"] = as_text(found.own[key], value)


def _unmatched(column: str, code: str, skus: str = "") -> dict[str, str]:
    message = f"Several products have this value: {skus}." if skus else "No product has this value."
    return {"column": column, "code": code, "message": message}


def _own_shown(text: str) -> dict[str, Any]:
    """The values of own fields as the API has them, by their names in rules."""
    own: dict[str, Any] = json.loads(text) if text else {}
    return {OWN_PREFIX + key: value for key, value in own.items()}


def _shown(name: str, value: str) -> Any:
    """A value as the API has it."""
    if name == "active":
        return {"t": True, "f": False}.get(value)
    if name == "price":
        return value or None
    return value[:CELL_SHOWN]
