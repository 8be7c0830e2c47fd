"""The upsert of a range of SKUs in which no product is stored: nothing to compare, a plain INSERT.

``ON CONFLICT`` takes a third of the time that such a range needs (a look-up before each row, and
its row written in two steps); docs/decisions/0003-apply.md has the figures. Whoever makes a
product of the range at the same moment is met by the unique index on ``lower(sku)``.
"""

# "stored" is there for the values, which are those of catalog.sql.upsert: none of it is.
INSERT = """
WITH source AS MATERIALIZED (
    {source}
), {more} wanted AS MATERIALIZED (
    SELECT
        source.key, source.line, source.record,
        source.sku AS sku, {name} AS name, {description} AS description,
        {price} AS price, {active} AS active,{own_columns}
        NULL::bigint AS product_id
    FROM source LEFT JOIN catalog_product AS stored ON false{merged}
    WHERE source.next_line IS NULL
){judged}, written AS (
    INSERT INTO catalog_product (
        sku, name, description, price, active{own},
        version, created_at, updated_at, created_in_id, changed_in_id
    )
    SELECT sku, name, description, price, active{own},
           1, now(), now(), %(change_set)s, %(change_set)s
    FROM {rows} WHERE name IS NOT NULL{free}
)
SELECT
    from_source.total, from_source.superseded,
    from_wanted.new, 0, from_wanted.nameless, from_wanted.taken, from_wanted.written
FROM (
    SELECT count(*) AS total, count(next_line) AS superseded FROM source
) AS from_source, (
    SELECT
        count(*){filter_free} AS new,
        json_agg(json_build_array(line, record)) FILTER (WHERE name IS NULL{free}) AS nameless,
        {taken} AS taken,
        count(*) FILTER (WHERE name IS NOT NULL{free}) AS written
    FROM {rows}
) AS from_wanted
"""
