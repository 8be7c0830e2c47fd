"""The raw SQL of the imports: staging tables, and the COPY into them.

A job's staging table holds its accepted records. It is unlogged: after a crash of the server
it is empty, which ``holds_rows`` finds out, and the file is read again.
"""

import json
from collections.abc import Mapping, Sequence

from django.db.backends.utils import CursorWrapper
from psycopg import sql

from imports.mapping.values import NO_SKU
from imports.readers.csv.cells import Problem
from product_importer.common.locks import AdvisoryLock

# The sample that chunk bounds are taken from: rows for a bound within a few per cent.
SAMPLE_ROWS = 20_000


def staging_table(job_id: int) -> str:
    return f"imports_staging_{int(job_id)}"


def create_staging(
    cursor: CursorWrapper, job_id: int, *, may_keep: bool = False, has_own: bool = False
) -> None:
    """Make an empty staging table, in place of one that may be there.

    ``may_keep``: its rows tell which stored values they leave as they are (``kept``). ``has_own``:
    they have values of own fields by key (``own_fields``).
    """
    table = staging_table(job_id)
    kept = "kept smallint NOT NULL," if may_keep else ""
    own = ", own_fields jsonb" if has_own else ""
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
            record text{own}
        ) WITH (autovacuum_enabled = false)
        """
    )


def create_sifted(cursor: CursorWrapper, job_id: int) -> str:
    """Make an empty table of the same columns beside the staging table; returns its name."""
    table = staging_table(job_id)
    cursor.execute(
        f"CREATE UNLOGGED TABLE {table}_sifted (LIKE {table}) WITH (autovacuum_enabled = false)"
    )
    return f"{table}_sifted"


def keep_sifted(cursor: CursorWrapper, job_id: int, *, keep: bool) -> None:
    """Put the sifted records in place of all staged ones, with their index; or drop them."""
    table = staging_table(job_id)
    cursor.execute(f"DROP TABLE {table}{'' if keep else '_sifted'}")
    if keep:
        cursor.execute(f"ALTER TABLE {table}_sifted RENAME TO {table}")
        cursor.execute(f"ALTER INDEX {table}_sifted_key RENAME TO {table}_key")


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


# What is kept of a job's records, besides their counts.
DETAILS = ("imports_rowerror", "imports_supersededrecord", "imports_leftoutrecord")
# How much of each, per job: a file of 2 MB may have a million records to refuse.
DETAILS_ROWS = 10_000
SKUS_SHOWN = 5  # of the products that share a value
DETAILS_BYTES = 32 << 20  # of refused records, as they are stored
PARTLY_KEPT = (
    f"Not every refused record is listed (at most {DETAILS_ROWS:,} are). rejects.csv has all of "
    "them, as long as the uploaded file is kept."
)


def delete_details(cursor: CursorWrapper, table: str, job_id: int, *, limit: int) -> int:
    """Delete up to ``limit`` of a job's records from one of ``DETAILS``; returns how many."""
    cursor.execute(
        f"DELETE FROM {table} WHERE id IN ("
        f"SELECT id FROM {table} WHERE job_id = %s ORDER BY line LIMIT %s)",
        [job_id, limit],
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


def note_skus(cursor: CursorWrapper, skus: Mapping[int, str]) -> None:
    """Keep the SKUs of refused records, by the records' numbers."""
    cursor.execute(
        "UPDATE imports_rowerror AS refused SET sku = given.sku"
        " FROM unnest(%s::bigint[], %s::text[]) AS given (id, sku) WHERE refused.id = given.id",
        [list(skus), list(skus.values())],
    )


def _without_blanks(cells: list[str], width: int) -> list[str]:
    """A record without the blank cells at its end; of one that is too wide nothing is lost."""
    count = len(cells)
    while count and count <= width and not cells[count - 1]:
        count -= 1
    return cells[:count]


def index_staging(cursor: CursorWrapper, table: str) -> None:
    """Order the staged records by key and line: this is what resolves duplicates."""
    cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
    cursor.execute(f"DROP INDEX IF EXISTS {table}_key")
    cursor.execute(f"CREATE INDEX {table}_key ON {table} (lower(sku), line)")


def count_left(cursor: CursorWrapper, job_id: int) -> int:
    """How many staged records are in chunks that are not applied."""
    cursor.execute(
        f"""
        SELECT count(*) FROM imports_importchunk AS chunk JOIN {staging_table(job_id)} AS staged
            ON lower(staged.sku) >= chunk.first_key
            AND (chunk.end_key IS NULL OR lower(staged.sku) < chunk.end_key)
        WHERE chunk.job_id = %s AND chunk.done_at IS NULL
        """,
        [job_id],
    )
    return int(cursor.fetchone()[0])


# Why no product is found for a record: what "unmatched" begins with, before the SKUs it is about.
NONE, SEVERAL, SKU_TAKEN = "none", "several", "taken"

# Gives each record the SKU of the product that has its value of an own field. Of the records with
# one value the last that has an SKU (else it is NO_SKU) says that of a new product. As it stands on
# a pack, a GTIN is no longer than it has to be (catalog.field_values.shown_gtin).
_MATCH = """
WITH valued AS MATERIALIZED (
    SELECT own_fields ->> {key} AS value,
           COALESCE(max(line) FILTER (WHERE sku <> '{no_sku}'), max(line)) AS line
    FROM {table} GROUP BY 1
), found AS MATERIALIZED (
    SELECT value, count(*) AS products, min(product.sku) AS sku,
           (array_agg(product.sku ORDER BY lower(product.sku)))[1:{shown}] AS skus
    FROM valued JOIN catalog_product AS product ON product.own_fields ->> {key} = value{within}
    GROUP BY value
), told AS MATERIALIZED (
    SELECT value, found.products, COALESCE(found.sku, {new_sku}) AS sku, found.skus
    FROM valued LEFT JOIN found USING (value) JOIN {table} AS last USING (line)
), judged AS MATERIALIZED (
    SELECT told.value, told.sku, CASE
        WHEN products > 1 THEN '{several}:' || array_to_string(skus, ', ')
            || CASE WHEN products > {shown} THEN ' …' ELSE '' END
        WHEN products IS NULL AND NOT %(create)s THEN '{none}:'
        WHEN products IS NULL AND other.id IS NOT NULL THEN '{taken}:' || other.sku
    END AS unmatched
    FROM told LEFT JOIN catalog_product AS other
        ON products IS NULL AND %(create)s AND lower(other.sku) = lower(told.sku)
)
UPDATE {table} AS staged SET sku = judged.sku, unmatched = judged.unmatched
FROM judged WHERE staged.own_fields ->> {key} = judged.value
  AND (staged.sku <> judged.sku OR judged.unmatched IS NOT NULL)
"""
# What a supplier brought in is what its imports created (docs/decisions/0032).
_WITHIN = """
        JOIN catalog_changeset AS made
            ON made.id = product.created_in_id AND made.supplier = %(supplier)s"""
_SHOWN_GTIN = """lpad(ltrim(value, '0'), CASE WHEN length(ltrim(value, '0')) <= 8 THEN 8
        WHEN length(ltrim(value, '0')) <= 12 THEN 12
        WHEN length(ltrim(value, '0')) <= 13 THEN 13 ELSE 14 END, '0')"""


def match_by_key(
    cursor: CursorWrapper,
    job_id: int,
    key: str,
    *,
    create: bool,
    has_sku: bool,
    is_gtin: bool,
    supplier: int | None = None,
) -> None:
    """Give the staged records the SKUs of the products that have their values of an own field.

    ``unmatched`` then says of those that have none, or several, or (with ``create``) whose SKU for
    a new product another one has, why they cannot be written. ``has_sku``: the file has SKUs for
    new products; else the value itself is theirs. ``supplier``: only among what it brought in.
    """
    table = staging_table(job_id)
    cursor.execute(f"ALTER TABLE {table} ADD COLUMN unmatched text")
    new_sku = _SHOWN_GTIN if is_gtin else "value"
    if has_sku:
        new_sku = f"COALESCE(NULLIF(last.sku, '{NO_SKU}'), {new_sku})"
    statement = _MATCH.format(
        table=table,
        key=sql.Literal(key).as_string().replace("%", "%%"),
        within="" if supplier is None else _WITHIN,
        shown=SKUS_SHOWN,
        new_sku=new_sku,
        no_sku=NO_SKU,
        none=NONE,
        several=SEVERAL,
        taken=SKU_TAKEN,
    )
    cursor.execute("SET LOCAL work_mem = '256MB'")
    cursor.execute(statement, {"create": create, "supplier": supplier})


def is_matched(cursor: CursorWrapper, job_id: int) -> bool:
    """Whether ``match_by_key`` was here already."""
    cursor.execute(
        "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s)"
        " AND attname = 'unmatched')",
        [staging_table(job_id)],
    )
    return bool(cursor.fetchone()[0])


def unmatched_rows(
    cursor: CursorWrapper, job_id: int, key: str, first_key: str, end_key: str | None
) -> list[tuple[int, str, str, str]]:
    """The records of a chunk that no product is found for: line, record, value, ``unmatched``."""
    cursor.execute(
        f"""
        SELECT line, record, own_fields ->> %(key)s, unmatched FROM {staging_table(job_id)}
        WHERE unmatched IS NOT NULL AND lower(sku) >= %(first_key)s
          AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s)
        ORDER BY line
        """,
        {"key": key, "first_key": first_key, "end_key": end_key},
    )
    return list(cursor.fetchall())


def given_values(
    cursor: CursorWrapper, job_id: int, key: str, skus: Sequence[str]
) -> dict[str, str | None]:
    """What the staged records give these products as an own field, as text (None: they clear it).

    Those that no record has a value for are absent.
    """
    cursor.execute(
        f"""
        SELECT sku, given ->> 0 FROM (
            SELECT asked.sku, (
                SELECT jsonb_build_array(own_fields -> %(key)s) FROM {staging_table(job_id)}
                WHERE lower(sku) = lower(asked.sku) AND own_fields ? %(key)s
                ORDER BY line DESC LIMIT 1
            ) AS given
            FROM unnest(%(skus)s::text[]) AS asked (sku)
        ) AS found WHERE given IS NOT NULL
        """,
        {"key": key, "skus": list(skus)},
    )
    return dict(cursor.fetchall())


def count_unmatched(cursor: CursorWrapper, job_id: int) -> int:
    """How many records no product is found for, after ``match_by_key``."""
    table = staging_table(job_id)
    cursor.execute(f"SELECT count(*) FROM {table} WHERE unmatched IS NOT NULL")
    return int(cursor.fetchone()[0])


def own_words(cursor: CursorWrapper, job_id: int, key: str) -> list[str]:
    """The different words of a list's field that the staged records have."""
    cursor.execute(
        f"""
        SELECT DISTINCT word FROM {staging_table(job_id)},
            LATERAL jsonb_array_elements_text(CASE jsonb_typeof(own_fields -> %(key)s)
                WHEN 'array' THEN own_fields -> %(key)s
                WHEN 'string' THEN jsonb_build_array(own_fields -> %(key)s)
                ELSE '[]' END) AS word
        ORDER BY word
        """,
        {"key": key},
    )
    return [word for (word,) in cursor]


def respell(cursor: CursorWrapper, job_id: int, key: str, spelling: dict[str, str]) -> None:
    """Write words of a list's field as the list has them."""
    cursor.execute(
        f"""
        UPDATE {staging_table(job_id)} SET own_fields = own_fields || jsonb_build_object(
            %(key)s::text, CASE jsonb_typeof(own_fields -> %(key)s)
                WHEN 'array' THEN (
                    SELECT jsonb_agg(COALESCE(%(spelling)s::jsonb ->> word, word) ORDER BY place)
                    FROM jsonb_array_elements_text(own_fields -> %(key)s)
                        WITH ORDINALITY AS one (word, place))
                ELSE %(spelling)s::jsonb -> (own_fields ->> %(key)s) END)
        WHERE (jsonb_typeof(own_fields -> %(key)s) = 'string'
               AND %(spelling)s::jsonb -> (own_fields ->> %(key)s) IS NOT NULL)
           OR (jsonb_typeof(own_fields -> %(key)s) = 'array'
               AND own_fields -> %(key)s ?| %(words)s)
        """,
        {"key": key, "spelling": json.dumps(spelling), "words": list(spelling)},
    )


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


def chunk_source(
    job_id: int,
    *,
    may_keep: bool = False,
    has_own: bool = False,
    gone: Sequence[str] = (),
    by_key: bool = False,
    of_lines: bool = False,
) -> str:
    """The staged records of a chunk. Of those with one key, the last line's has no next line.

    ``gone`` are the keys of own fields that were deleted since the file was read. ``by_key``: their
    products were looked for (``match_by_key``), and only those that can be written count.
    ``of_lines``: only the records of the parameter ``lines``, which count.
    """
    kept = ", kept" if may_keep else ""
    if has_own:
        without = "".join(f" - {sql.Literal(key).as_string()}" for key in gone)
        kept += f", own_fields{without} AS own_fields"
    matched = " AND unmatched IS NULL" if by_key else ""
    matched += " AND line = ANY (%(lines)s)" if of_lines else ""
    return f"""
    SELECT lower(sku) AS key, line,
           lead(line) OVER (PARTITION BY lower(sku) ORDER BY line) AS next_line,
           record, sku, name, description, price, active{kept}
    FROM {staging_table(job_id)}
    WHERE lower(sku) >= %(first_key)s
      AND (%(end_key)s::text IS NULL OR lower(sku) < %(end_key)s){matched}
    """


def products_of_lines(job_id: int) -> str:
    """A condition on products: those of the staged records of the parameter ``lines``."""
    table = staging_table(job_id)
    return f"lower(sku) IN (SELECT lower(sku) FROM {table} WHERE line = ANY (%(lines)s))"


# Keeps which record was replaced by which line, as long as there is room; reads chunk_source.
RECORD_SUPERSEDED = """superseded AS (
    INSERT INTO imports_supersededrecord (job_id, line, sku, by_line)
    SELECT %(job)s, line, sku, next_line FROM source WHERE next_line IS NOT NULL
    ORDER BY line LIMIT greatest(0, %(details)s - (
        SELECT count(*) FROM imports_supersededrecord WHERE job_id = %(job)s))
)"""
