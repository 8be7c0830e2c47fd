"""Old code runs on the new schema: what a migration may do while the release before still works.

docs/upgrade.md has the rules. Migrations up to ``BASE`` are those of release 0.1.0, before which
nobody ran the product; they are not looked at.
"""

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.postgres.fields import ArrayField
from django.db import connection, models, transaction
from django.db.migrations import Migration, RunPython
from django.db.migrations.loader import MigrationLoader
from django.utils import timezone

BASE = {
    "catalog": "0003_undo",
    "imports": "0002_review",
    "product_importer": "0002_webhook_roles",
    "webhooks": "0003_endpoints_and_deliveries",
}

# What a migration does although it is in FORBIDDEN, by (app, name, what), each with the reason
# why nobody is stopped by it.
ALLOWED: dict[tuple[str, str, str], str] = {
    (
        "product_importer",
        "0003_api_tokens",
        "runs Python, which cannot be read here",
    ): "It adds a row beside each API token, of which there are a few, to a table of its own.",
    (
        "product_importer",
        "0005_field_roles",
        "runs Python, which cannot be read here",
    ): "It gives a group permissions for a table that the release before does not know.",
    (
        "product_importer",
        "0008_feed_roles",
        "runs Python, which cannot be read here",
    ): "It gives groups permissions for a table that the release before does not know.",
    (
        "product_importer",
        "0010_notice_roles",
        "runs Python, which cannot be read here",
    ): "It gives a group permissions for a table that the release before does not know.",
    (
        "product_importer",
        "0007_export_format_roles",
        "runs Python, which cannot be read here",
    ): "It gives a group permissions for a table that the release before does not know.",
    (
        "product_importer",
        "0009_supplier_roles",
        "runs Python, which cannot be read here",
    ): "It gives a group a permission that the release before does not ask for.",
    (
        "imports",
        "0012_full_lists",
        "runs Python, which cannot be read here",
    ): "It fills a column that the release before does not know, in one row for each import of a "
    "supplier, by their indexes.",
    (
        "imports",
        "0008_suppliers_and_formats",
        "runs Python, which cannot be read here",
    ): "It adds the few formats that come with the product to a table that it has just made.",
}

# Tables of hundreds of thousands of rows and more: building an index there takes seconds, in
# which nobody can write.
BIG = {
    "catalog_product",
    "catalog_change",
    "catalog_removedproduct",
    "catalog_undoconflict",
    "django_celery_results_taskresult",
    "imports_rowerror",
    "imports_supersededrecord",
    "webhooks_attempt",
    "webhooks_delivery",
    "webhooks_event",
}

# What breaks the code of the release before, or holds it up, in the SQL that a migration runs.
FORBIDDEN = {
    "drops a column": r"DROP COLUMN",
    "drops a table": r"DROP TABLE",
    "renames": r"\bRENAME\b",
    "makes a column NOT NULL": r"ALTER COLUMN \S+ SET NOT NULL",
    "changes a type": r"ALTER COLUMN \S+ TYPE",
    "adds a NOT NULL column that has no default": r"ALTER COLUMN \S+ DROP DEFAULT",
    "adds a constraint and checks every row": r"ADD CONSTRAINT (?!.*(NOT VALID|USING INDEX))",
    "rewrites rows": r"^\s*(UPDATE|DELETE|TRUNCATE|VACUUM FULL|CLUSTER)\b",
}
NOT_NULL = re.compile(r'ADD COLUMN "\w+" (?!.*\bDEFAULT\b).*\bNOT NULL\b', re.I)
INDEX = re.compile(
    r'CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY)(?:IF NOT EXISTS )?"?\w+"? ON "?(\w+)"?', re.I
)
MADE = re.compile(r'CREATE TABLE (?:IF NOT EXISTS )?"?(\w+)"?', re.I)


def findings(statements: list[str], migration: Migration | None = None) -> set[str]:
    """What in these statements would break or hold up the release before."""
    found = set()
    made: set[str] = set()
    for statement in (part for text in statements for part in text.split(";")):
        made |= set(MADE.findall(statement))
        altered = re.match(r'\s*ALTER TABLE "?(\w+)"?', statement)
        if altered and altered[1] in made:
            continue  # nobody knows this table yet
        found |= {what for what, text in FORBIDDEN.items() if re.search(text, statement, re.I)}
        if NOT_NULL.search(statement):
            found.add("adds a NOT NULL column that has no default")
        index = INDEX.search(statement)
        if index and index[1] in BIG and index[1] not in made:
            found.add(f"builds an index on {index[1]}, not concurrently")
    if migration and any(isinstance(one, RunPython) for one in migration.operations):
        found.add("runs Python, which cannot be read here")
    return found


def later_migrations() -> list[Migration]:
    """Our migrations after the base, in an order in which they can run."""
    loader = MigrationLoader(connection)
    base = {key for app, name in BASE.items() for key in loader.graph.forwards_plan((app, name))}
    plan: dict[tuple[str, str], None] = {}
    for app in BASE:
        for leaf in loader.graph.leaf_nodes(app):
            plan |= dict.fromkeys(loader.graph.forwards_plan(leaf))
    return [loader.graph.nodes[key] for key in plan if key not in base and key[0] in BASE]


def sql_of(migration: Migration) -> list[str]:
    loader = MigrationLoader(connection, replace_migrations=False)
    plan = [(loader.graph.nodes[(migration.app_label, migration.name)], False)]
    return [line for line in loader.collect_sql(plan) if not line.startswith("--")]


@pytest.mark.django_db
def test_no_migration_breaks_or_holds_up_the_release_before() -> None:
    refused = {
        (migration.app_label, migration.name, what)
        for migration in later_migrations()
        for what in findings(sql_of(migration), migration)
    }
    assert refused - set(ALLOWED) == set(), (
        "See docs/upgrade.md: split the migration over two releases, or say in ALLOWED why it "
        "is safe."
    )
    assert set(ALLOWED) - refused == set(), "These exceptions are not needed any more."
    assert all(len(reason) > 20 for reason in ALLOWED.values())


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (['ALTER TABLE "catalog_product" DROP COLUMN "price" CASCADE;'], "drops a column"),
        (['DROP TABLE "imports_importchunk" CASCADE;'], "drops a table"),
        (['ALTER TABLE "a" RENAME COLUMN "b" TO "c";'], "renames"),
        (['ALTER TABLE "a" RENAME TO "b";'], "renames"),
        (['ALTER TABLE "a" ALTER COLUMN "b" SET NOT NULL;'], "makes a column NOT NULL"),
        (['ALTER TABLE "a" ALTER COLUMN "b" TYPE text USING "b"::text;'], "changes a type"),
        (
            [
                'ALTER TABLE "a" ADD COLUMN "b" integer DEFAULT 0 NOT NULL;',
                'ALTER TABLE "a" ALTER COLUMN "b" DROP DEFAULT;',
            ],
            "adds a NOT NULL column that has no default",
        ),
        (
            ['ALTER TABLE "a" ADD COLUMN "b" integer NOT NULL;'],
            "adds a NOT NULL column that has no default",
        ),
        (
            ['CREATE INDEX "x" ON "catalog_change" ("product_id");'],
            "builds an index on catalog_change, not concurrently",
        ),
        (
            ['CREATE UNIQUE INDEX "x" ON "catalog_product" (lower("sku"));'],
            "builds an index on catalog_product, not concurrently",
        ),
        (
            ['ALTER TABLE "a" ADD CONSTRAINT "b" CHECK (c > 0);'],
            "adds a constraint and checks every row",
        ),
        (["UPDATE catalog_product SET active = true"], "rewrites rows"),
    ],
)
def test_what_is_forbidden_is_found(statements: list[str], found: str) -> None:
    assert findings(statements) == {found}


@pytest.mark.parametrize(
    "statements",
    [
        ['ALTER TABLE "a" ADD COLUMN "b" integer NULL;'],
        ['ALTER TABLE "a" ADD COLUMN "b" varchar(9) DEFAULT \'kept\' NOT NULL;'],
        ['CREATE INDEX CONCURRENTLY "x" ON "catalog_change" ("product_id");'],
        ['ALTER TABLE "a" ADD CONSTRAINT "b" CHECK (c > 0) NOT VALID;'],
        ['CREATE TABLE "a" ("b" integer NOT NULL);', 'CREATE INDEX "x" ON "a" ("b");'],
        [
            'CREATE TABLE "a" ("b" integer NOT NULL);',
            'ALTER TABLE "a" ADD CONSTRAINT "c" FOREIGN KEY ("b") REFERENCES "d" ("id");',
        ],
    ],
)
def test_what_is_harmless_is_let_through(statements: list[str]) -> None:
    assert findings(statements) == set()


# --- The models of 0.1.0, on the tables of today ----------------------------------------


def old_models() -> list[type[models.Model]]:
    state = MigrationLoader(connection).project_state(list(BASE.items()))
    return [
        model
        for model in state.apps.get_models(include_auto_created=True)
        if model._meta.app_label in BASE and model._meta.managed
    ]


VALUES: dict[type[Any], Any] = {
    models.BooleanField: True,
    models.CharField: "x",
    models.TextField: "x",
    models.FileField: "x",
    models.DateTimeField: timezone.now(),
    models.DecimalField: Decimal(1),
    models.DurationField: timedelta(1),
    models.FloatField: 1.0,
    models.IntegerField: 1,
    models.JSONField: {},
    models.BinaryField: b"x",
    models.UUIDField: uuid4(),
    ArrayField: [],
}


def any_value(field: "models.Field[Any, Any]") -> Any:
    if field.is_relation:
        return 1  # the database looks at the end of the transaction, which never comes
    return next(value for kind, value in VALUES.items() if isinstance(field, kind))


@pytest.mark.django_db(transaction=True)
def test_the_code_of_the_first_release_writes_and_reads_every_table() -> None:
    """With its own models, that know nothing of columns which came later."""
    found = old_models()
    assert {model._meta.label for model in found} >= {
        "catalog.Product",
        "imports.ImportJob",
        "webhooks.Delivery",
    }
    for model in found:
        with transaction.atomic():
            values = {
                field.attname: any_value(field)
                for field in model._meta.concrete_fields
                if not field.primary_key and not field.has_default() and not field.null
            }
            made = model._default_manager.create(**values)
            again = model._default_manager.get(pk=made.pk)
            again.save()
            again.delete()
            transaction.set_rollback(True)
