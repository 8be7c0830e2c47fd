"""The raw SQL of the imports: staging tables, and the COPY into them.

A job's staging table holds its accepted records. It is unlogged: after a crash of the server
it is empty, which ``holds_rows`` finds out, and the file is read again.
"""

import json
from collections.abc import Sequence
from typing import Any

from django.db.backends.utils import CursorWrapper

from catalog.sql.compare import REVIEW_TABLE
from imports.readers.csv.cells import Problem, Row
from product_importer.common.locks import AdvisoryLock

# The sample that chunk bounds are taken from: rows for a bound within a few per cent.
SAMPLE_ROWS = 20_000


def staging_table(job_id: int) -> str:
    return f"imports_staging_{int(job_id)}"


def create_staging(cursor: CursorWrapper, job_id: int, *, may_keep: bool = False) -> None:
    """Make an empty staging table, in place of one that may be there.

    ``may_keep``: its rows tell which stored values they leave as they are (``kept``).
    """
    table = staging_table(job_id)
    kept = "kept smallint NOT NULL," if may_keep else ""
    cursor.execute(f"DROP TABLE IF EXISTS {table}")
    cursor.execute(
        f"""
        CREATE UNLOGGED TABLE {table} (
            line bigint NOT NULL,
            sku text NOT NULL,
            name text,
            description text,
            price numeric(12, 2),
            active boolean,
            {kept}
            record json
        ) WITH (autovacuum_enabled = false)
        """
    )


def drop_staging(cursor: CursorWrapper, job_id: int) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS {staging_table(job_id)}")


def staging_exists(cursor: CursorWrapper, job_id: int) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [staging_table(job_id)])
    return bool(cursor.fetchone()[0])


def lock_staging(cursor: CursorWrapper, job_id: int) -> bool:
    """Wait until nobody uses the staging table, and keep others out; false if there is none."""
    if not staging_exists(cursor, job_id):
        return False
    cursor.execute(f"LOCK TABLE {staging_table(job_id)} IN ACCESS EXCLUSIVE MODE")
    return True


def jobs_with_tables(cursor: CursorWrapper) -> tuple[list[int], list[int]]:
    """The numbers of the jobs that have a staging table, and of those that have a review."""
    cursor.execute(
        r"""
        SELECT substring(relname FROM '^imports_(staging|review)_\d+$'),
               substring(relname FROM '\d+$')::bigint
        FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
          AND relname ~ '^imports_(staging|review)_\d+$'
        """
    )
    found = cursor.fetchall()
    staged = [job_id for kind, job_id in found if kind == "staging"]
    return staged, [job_id for kind, job_id in found if kind == "review"]


def holds_rows(cursor: CursorWrapper, job_id: int) -> bool:
    """Whether the staging table is there and was not emptied by a crash of the server."""
    if not staging_exists(cursor, job_id):
        return False
    cursor.execute(f"SELECT EXISTS (SELECT FROM {staging_table(job_id)})")
    return bool(cursor.fetchone()[0])


def count_staged(cursor: CursorWrapper, job_id: int) -> int:
    cursor.execute(f"SELECT count(*) FROM {staging_table(job_id)}")
    return int(cursor.fetchone()[0])


def review_table(job_id: int) -> str:
    return f"imports_review_{int(job_id)}"


def create_review(cursor: CursorWrapper, job_id: int) -> None:
    """Make an empty review, in place of one that may be there."""
    drop_review(cursor, job_id)
    cursor.execute(REVIEW_TABLE.format(table=review_table(job_id)))


def drop_review(cursor: CursorWrapper, job_id: int) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS {review_table(job_id)}")


def review_exists(cursor: CursorWrapper, job_id: int) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [review_table(job_id)])
    return bool(cursor.fetchone()[0])


_REVIEW_FILTERS = """(%(action)s = '' OR action = %(action)s::"char")
          AND (%(fields)s = 0 OR (action = 'u' AND fields & %(fields)s > 0))
          AND (%(flags)s = 0 OR flags & %(flags)s > 0)"""


def read_review(
    cursor: CursorWrapper,
    job_id: int,
    *,
    after: tuple[int, int],
    limit: int,
    action: str = "",
    fields: int = 0,
    flags: int = 0,
    backwards: bool = False,
) -> list[dict[str, Any]]:
    """Rows of a review after (or, ``backwards``, before) a place, in the order of their SKUs.

    Those of one action (``c``, ``u``), that update one of ``fields``, that have one of
    ``flags``; blank and 0 mean any.
    """
    side, order = ("<", "DESC") if backwards else (">", "ASC")
    cursor.execute(
        f"""
        SELECT * FROM {review_table(job_id)}
        WHERE (chunk, place) {side} (%(chunk)s, %(place)s) AND {_REVIEW_FILTERS}
        ORDER BY chunk {order}, place {order} LIMIT %(limit)s
        """,
        {
            "chunk": after[0],
            "place": after[1],
            "action": action,
            "fields": fields,
            "flags": flags,
            "limit": limit,
        },
    )
    names = [column.name for column in cursor.description or ()]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return rows[::-1] if backwards else rows


def count_review(
    cursor: CursorWrapper, job_id: int, *, action: str, fields: int, flags: int
) -> int:
    """How many rows of a review match the filters, as ``read_review`` takes them."""
    cursor.execute(
        f"SELECT count(*) FROM {review_table(job_id)} WHERE {_REVIEW_FILTERS}",
        {"action": action, "fields": fields, "flags": flags},
    )
    return int(cursor.fetchone()[0])


# What is kept of a job's records, besides their counts.
DETAILS = ("imports_rowerror", "imports_supersededrecord")
# How much of each, per job: a file of 2 MB may have a million records to refuse.
DETAILS_ROWS = 10_000
DETAILS_BYTES = 32 << 20  # of refused records, as they are stored
PARTLY_KEPT = (
    f"Not every refused record is listed (at most {DETAILS_ROWS:,} are). rejects.csv has all of "
    "them, as long as the uploaded file is kept."
)


def delete_details(cursor: CursorWrapper, table: str, job_id: int, *, most: int) -> int:
    """Delete up to ``most`` of a job's records from one of ``DETAILS``; returns how many."""
    cursor.execute(
        f"DELETE FROM {table} WHERE id IN ("
        f"SELECT id FROM {table} WHERE job_id = %s ORDER BY line LIMIT %s)",
        [job_id, most],
    )
    return int(cursor.rowcount)


def try_lock_job(cursor: CursorWrapper, job_id: int) -> bool:
    """Take the job's lock until the end of the transaction, unless another has it."""
    cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [AdvisoryLock.JOB, job_id])
    return bool(cursor.fetchone()[0])


def lock_job(cursor: CursorWrapper, job_id: int) -> None:
    """Take the job's lock until the end of the transaction, as soon as it is free."""
    cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [AdvisoryLock.JOB, job_id])


def copy_rows_statement(job_id: int) -> str:
    """A blank cell is NULL in staging; what a blank means, the upsert knows."""
    return f"COPY {staging_table(job_id)} FROM STDIN (FORMAT text, NULL '')"


def encode_rows(rows: list[Row]) -> bytes:
    """Rows, which the reader has escaped, as COPY takes them."""
    return ("\n".join(rows) + "\n").encode()


def keep_problems(
    cursor: CursorWrapper,
    job_id: int,
    problems: Sequence[Problem],
    *,
    width: int,
    while_applying: bool = False,
) -> int:
    """Store refused records in detail, as long as there is room; return how many of them.

    Blank cells at the end are left out, but for those beyond the header's ``width``.
    """
    cursor.execute(
        "SELECT count(*), COALESCE(sum(pg_column_size(record)), 0) FROM imports_rowerror"
        " WHERE job_id = %s",
        [job_id],
    )
    rows, size = cursor.fetchone()
    kept = 0
    with cursor.copy(
        'COPY imports_rowerror (job_id, line, "column", code, message, record, while_applying)'
        " FROM STDIN"
    ) as copy:
        for problem in problems[: max(0, DETAILS_ROWS - rows)]:
            if size >= DETAILS_BYTES:
                break
            record = json.dumps(_without_blanks(problem.record, width), ensure_ascii=False)
            size += len(record)
            kept += 1
            copy.write_row(
                (
                    job_id,
                    problem.line,
                    problem.column,
                    problem.code,
                    problem.message,
                    record,
                    while_applying,
                )
            )
    return kept


def _without_blanks(cells: list[str], width: int) -> list[str]:
    """A record without the blank cells at its end; of one that is too wide nothing is lost."""
    count = len(cells)
    while count and count <= width and not cells[count - 1]:
        count -= 1
    return cells[:count]


def index_staging(cursor: CursorWrapper, job_id: int) -> None:
    """Order the staged records by key and line: this is what resolves duplicates."""
    table = staging_table(job_id)
    cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
    cursor.execute(f"DROP INDEX IF EXISTS {table}_key")
    cursor.execute(f"CREATE INDEX {table}_key ON {table} (lower(sku), line)")


def chunk_bounds(cursor: CursorWrapper, job_id: int, *, rows: int, chunk_rows: int) -> list[str]:
    """Keys that cut the staged records into chunks of about ``chunk_rows``.

    They come from a sample of blocks, so a chunk's size is only about right; many records of
    one key stay in one chunk, whatever its size.
    """
    chunks = max(1, round(rows / chunk_rows))
    if chunks == 1:
        return []
    percent = min(100.0, 100.0 * SAMPLE_ROWS / rows)
    cursor.execute(
        f"""
        SELECT DISTINCT bound FROM (
            SELECT unnest(percentile_disc(%s::float8[]) WITHIN GROUP (ORDER BY lower(sku))) AS bound
            FROM {staging_table(job_id)} TABLESAMPLE SYSTEM ({percent:.4f}) REPEATABLE (0)
        ) AS bounds ORDER BY bound
        """,
        [[number / chunks for number in range(1, chunks)]],
    )
    return [bound for (bound,) in cursor if bound is not None]


def chunk_keys(
    cursor: CursorWrapper, job_id: int, first_key: str, end_key: str | None
) -> list[tuple[str, int, str]]:
    """The keys of a chunk in order, each with the line and the SKU of the record that counts."""
    cursor.execute(
        f"""
        SELECT DISTINCT ON (lower(sku)) lower(sku), line, sku FROM {staging_table(job_id)}
        WHERE lower(sku) >= %(first_key)s
          AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s)
        ORDER BY lower(sku), line DESC
        """,
        {"first_key": first_key, "end_key": end_key},
    )
    return list(cursor.fetchall())


def chunk_source(job_id: int, *, may_keep: bool = False) -> str:
    """The staged records of a chunk. Of those with one key, the last line's has no next line."""
    kept = ", kept" if may_keep else ""
    return f"""
    SELECT lower(sku) AS key, line,
           lead(line) OVER (PARTITION BY lower(sku) ORDER BY line) AS next_line,
           record, sku, name, description, price, active{kept}
    FROM {staging_table(job_id)}
    WHERE lower(sku) >= %(first_key)s
      AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s)
    """


# Keeps which record was replaced by which line, as long as there is room; reads chunk_source.
RECORD_SUPERSEDED = """superseded AS (
    INSERT INTO imports_supersededrecord (job_id, line, sku, by_line)
    SELECT %(job)s, line, sku, next_line FROM source WHERE next_line IS NOT NULL
    ORDER BY line LIMIT greatest(0, %(details)s - (
        SELECT count(*) FROM imports_supersededrecord WHERE job_id = %(job)s))
)"""
