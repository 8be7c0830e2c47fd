"""How a file would be read: its dialect, its columns, what is unclear, its first records.

Only the beginning of a file is read.
"""

from dataclasses import dataclass, replace
from typing import Any, BinaryIO, cast

from imports.mapping.matching import Matched, match
from imports.mapping.questions import Question
from imports.mapping.rules import Rules, parse_rules, resolve_columns, rules_as_json
from imports.models import ImportJob
from imports.readers.csv import Layout, UnreadableFile
from imports.readers.csv.cells import clean_cells
from imports.readers.csv.dialect import Dialect, find_dialect
from imports.readers.csv.sample import SampleRecord, read_sample

COLUMN_NAME_MAX_LENGTH = 1_000
PREVIEW_RECORDS = 50


class NoMapping(Exception):
    """There is no mapping to show; the message says why."""


@dataclass(frozen=True)
class Found:
    """What a look at a file's beginning found out."""

    dialect: Dialect
    records: list[SampleRecord]
    matched: Matched

    @property
    def questions(self) -> list[Question]:
        return [*self.dialect.questions, *self.matched.questions]

    @property
    def rules(self) -> Rules:
        """Every rule with the value that holds: nothing is left to be found out."""
        return replace(
            self.matched.rules,
            encoding=self.dialect.encoding,
            delimiter=self.dialect.delimiter,
            quote=self.dialect.quote,
            header_line=self.dialect.header_line,
        )

    def layout(self) -> Layout:
        """What the reader goes by; of rules without questions."""
        places = resolve_columns(self.matched.rules, self.dialect.header).fields
        return Layout(
            encoding=self.dialect.encoding,
            mark_size=self.dialect.mark_size,
            delimiter=self.dialect.delimiter,
            header=self.dialect.header,
            fields={name: found[0] for name, found in places.items()},
            offset=self.dialect.offset,
            line=self.dialect.line,
            warnings=[*self.dialect.warnings, *self.matched.notes],
        )


def look(job: ImportJob, file: BinaryIO, rules: Rules) -> Found:
    """Find out how a file is to be read under these rules. Raises ``UnreadableFile``."""
    dialect = find_dialect(
        file,
        encoding=rules.encoding,
        delimiter=rules.delimiter,
        quote=rules.quote,
        header_line=rules.header_line,
    )
    _check_names(dialect.header)
    records = read_sample(file, dialect)
    return Found(dialect, records, match(dialect.header, [r.cells for r in records], rules))


def _check_names(header: list[str]) -> None:
    """Raise ``UnreadableFile`` for names of columns that are none: the job keeps them all."""
    for number, name in enumerate(header, start=1):
        if len(name) > COLUMN_NAME_MAX_LENGTH:
            raise UnreadableFile(
                f"The name of column {number} has {len(name):,} characters, “{name[:40]} …”; at "
                f"most {COLUMN_NAME_MAX_LENGTH:,} are allowed. Look whether the first line of the "
                "file names its columns."
            )


def mapping_of(job: ImportJob) -> dict[str, Any]:
    """How a job's file is read, or would be: the API's mapping. Raises ``UnreadableFile``,
    ``RulesError`` and ``FileNotFoundError``."""
    return preview(job, parse_rules(job.found.get("rules") or job.rules))


def preview(job: ImportJob, rules: Rules) -> dict[str, Any]:
    """The same under other rules. Nothing is kept."""
    found = look_at_job(job, rules)
    return {
        "rules": rules_as_json(found.rules),
        "columns": [
            {
                "index": column.index,
                "name": column.name,
                "samples": list(column.samples),
                "field": column.field,
                "because": column.because,
                "suggestions": [
                    {"field": one.field, "score": one.score} for one in column.suggestions
                ],
            }
            for column in found.matched.columns
        ],
        "questions": [
            {"code": one.code, "column": one.column, "message": one.message}
            for one in found.questions
        ],
        "notes": found.matched.notes,
        "preview": _preview(found),
        "sheets": [],
        "members": [],
        "format": None,
    }


def look_at_job(job: ImportJob, rules: Rules) -> Found:
    """The look at a job's file. Raises ``UnreadableFile``, ``RulesError``, ``FileNotFoundError``."""
    with job.file.open("rb") as handle:
        return look(job, cast(BinaryIO, handle.file), rules)


def _preview(found: Found) -> list[dict[str, Any]]:
    header = found.dialect.header
    fields = {
        name: places[0]
        for name, places in resolve_columns(found.matched.rules, header).fields.items()
    }
    rows = []
    for line, cells in found.records[:PREVIEW_RECORDS]:
        values, problems = clean_cells([*cells, *[""] * (len(header) - len(cells))], fields)
        rows.append(
            {
                "line": line,
                "raw": {name: cells[place] for name, place in fields.items() if place < len(cells)},
                "values": values,
                "skipped": False,
                "problems": [
                    {"column": header[one.column], "code": one.code, "message": one.message}
                    for one in problems
                ],
            }
        )
    return rows
