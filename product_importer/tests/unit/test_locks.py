"""Advisory locks: one registry, so that no two things lock each other by the same number."""

import re

import pytest
from django.db import connection, transaction

from conftest import wait_for
from imports.sql.staging import lock_job
from product_importer.common.locks import AdvisoryLock
from product_importer.environment import BASE_DIR
from webhooks.sql import queue

APPS = ("benchmarks", "catalog", "imports", "product_importer", "webhooks")
SOURCES = {
    str(path.relative_to(BASE_DIR)): path.read_text()
    for app in APPS
    for path in (BASE_DIR / app).rglob("*.py")
}
REGISTRY = "product_importer/common/locks.py"
CALL = re.compile(r"pg_(?:try_)?advisory_\w+\(([^)]*)\)")


def test_no_two_advisory_locks_have_the_same_number() -> None:
    numbers = re.findall(r"^    \w+ = ([\d_]+)", SOURCES[REGISTRY], re.M)
    assert len(numbers) == len(AdvisoryLock)
    assert len({int(number) for number in numbers}) == len(numbers)


def test_only_the_registry_has_numbers_of_advisory_locks() -> None:
    numbers = {int(lock) for lock in AdvisoryLock}
    found = {
        name
        for name, text in SOURCES.items()
        if numbers & {int(digits) for digits in re.findall(r"\b\d[\d_]{3,18}\b", text)}
    }
    assert found == {REGISTRY}


def test_whoever_takes_an_advisory_lock_takes_its_number_from_the_registry() -> None:
    calls = {name: CALL.findall(text) for name, text in SOURCES.items() if CALL.search(text)}
    assert {
        "catalog/operations/change_sets.py",
        "imports/sql/staging.py",
        "webhooks/sql/queue.py",
    } <= calls.keys()
    for name, arguments in calls.items():
        assert "import AdvisoryLock" in SOURCES[name], name
        assert {each.split(",")[0] for each in arguments} == {"%s"}, name


@pytest.mark.django_db
def test_an_import_that_is_being_read_takes_no_slot_of_the_dispatchers() -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        lock_job(cursor, 1)
        wait_for(lambda: queue.taken_slots(cursor) == 0)  # a running site's dispatchers come and go
