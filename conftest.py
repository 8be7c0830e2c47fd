"""Fixtures for all tests: the running product, and makers of what tests need."""

import importlib
import io
import os
import pkgutil
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests
from celery import current_app
from django.apps import apps
from django.conf import settings
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import Group, User
from django.core.cache import cache as counts
from django.core.files import File
from django.db import IntegrityError, OperationalError, connection, connections, transaction
from django.test import Client, TransactionTestCase
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Page,
    Playwright,
    expect,
    sync_playwright,
)
from structlog.contextvars import clear_contextvars
from whitenoise.base import WhiteNoise

import product_importer.migrations
from benchmarks.running import DROP_FIELD_INDEXES
from catalog.models import Product
from imports.models import ImportJob
from imports.operations.jobs import start_import
from product_importer.accounts.tokens import make_token
from product_importer.common import enqueue
from product_importer.environment import BASE_DIR
from product_importer.local import prepared
from product_importer.local.browser import find_chromium
from product_importer.local.processes import free_port, wait_until
from product_importer.local.pytest_plugin import MIGRATED, STACK, with_database, worker_number
from product_importer.local.stack import Stack

BROWSER_SECONDS = 120  # for what a page is to show
PASSWORD = "a-password-for-tests-1"
WAIT_SECONDS = 300  # a machine may be slow; what does not come, does not come sooner


# What is dear to start, and started by each process of a run that has a test with it.
SHARED = ("hosting", "direct_site", "running")


expect.set_options(timeout=BROWSER_SECONDS * 1000)


@pytest.hookimpl(specname="pytest_collection_modifyitems", tryfirst=True)
def pytest_keep_together(items: list[pytest.Item]) -> None:
    """Let one process run all the tests that share what is dear to start.

    Only what begins with "pytest_" is taken for a hook.
    """
    for item in items:
        for name in SHARED:
            if name in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.xdist_group(name))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests of the running product last, and behind them those in a browser.

    Once the product runs, its worker does what any test asks for; a test that plays the worker
    itself would find the work taken. Playwright's loop runs in its thread from then on, where
    nothing else can begin one. Groups first: what takes long would keep one process at the end,
    when there is nothing left for the other.
    """

    def rank(item: pytest.Item) -> tuple[int, bool]:
        names = getattr(item, "fixturenames", ())
        part = 2 if "playwright" in names else int("site" in names)
        return part, item.get_closest_marker("xdist_group") is None

    items.sort(key=rank)


@pytest.fixture(scope="session", autouse=True)
def static_files(pytestconfig: pytest.Config) -> None:
    """The collected static files, which pages refer to by their hashed names.

    Each process of a run has them, whichever test it begins with: every request looks for them.
    """
    folder = str(prepared.static_files())
    pytestconfig.stash[STACK].environ["STATIC_ROOT"] = folder
    settings.STATIC_ROOT = folder


_OTHER_SESSIONS = """
SELECT pid, application_name, state, backend_start, left(query, 200) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@pytest.fixture(scope="session")
def django_db_setup(
    pytestconfig: pytest.Config, django_test_environment: None, django_db_blocker: Any
) -> Iterator[None]:
    """This process's own database, a copy of the migrated one.

    It is dropped when all of its sessions have ended, and not before. That of a process that was
    killed ends when its statement does.
    """
    migrated = pytestconfig.stash[MIGRATED]
    name = f"{migrated}_{worker_number()}"
    left: list[Any] = []

    def all_ended() -> bool:
        with connection.cursor() as cursor:
            cursor.execute(_OTHER_SESSIONS)
            left[:] = cursor.fetchall()
        return not left

    with django_db_blocker.unblock():
        _move_to("postgres")
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {migrated}")
        _move_to(name)
    yield
    with django_db_blocker.unblock():
        try:
            wait_for(all_ended)
        except TimeoutError as error:
            error.add_note(f"Sessions: {left}")
            raise
        _move_to("postgres")
        with connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


def _move_to(database: str) -> None:
    """Have Django talk to another database of the same server."""
    connections.close_all()
    connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = database


# What the migrations put there: tests leave it as it is.
_MIGRATED_ROWS = [
    "django_migrations",
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
]
# Of these tables, only the rows that a migration put there stay.
_PARTLY_MIGRATED = {
    "imports_formatversion": (
        "WHERE format_id IN (SELECT id FROM imports_format WHERE NOT ready_made)"
    ),
    "imports_format": "WHERE NOT ready_made",
}
_TABLES = r"""
SELECT relname FROM pg_class
WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace
    AND NOT relname = ANY (%s) AND relname !~ '^imports_(staging|review)_\d+$'
"""


@cache
def _which_are_filled() -> str:
    """A query for the tables that hold rows."""
    with connection.cursor() as cursor:
        cursor.execute(_TABLES, [_MIGRATED_ROWS])
        return " UNION ALL ".join(
            f"SELECT '{name}' WHERE EXISTS (SELECT FROM \"{name}\")"
            for (name,) in cursor.fetchall()
        )


def _empty_tables(test: TransactionTestCase) -> None:
    """Delete what a test has committed: far less work than to flush all tables, mostly empty.

    What the running product writes at that moment can be in the way: then once more.
    """
    for attempt in range(1, 11):
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(_which_are_filled())
                filled = [name for (name,) in cursor.fetchall()]
                if filled:
                    cursor.execute(_delete_all(filled))
        except (IntegrityError, OperationalError):
            if attempt == 10:
                raise
        else:
            return


def _delete_all(tables: list[str]) -> str:
    """Statements that empty these tables; the versions of formats go before their formats.

    With the fields of the catalogue go their indexes, or the next test's values would meet them.
    """
    ordered = sorted(tables, key=lambda name: name == "imports_format")
    deletes = [f"DELETE FROM {name} {_PARTLY_MIGRATED.get(name, '')}" for name in ordered]
    return "; ".join([*deletes, *([DROP_FIELD_INDEXES] if "catalog_field" in tables else [])])


@pytest.fixture(scope="session", autouse=True)
def _emptied_by_deleting() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", _empty_tables)
        yield


@pytest.fixture(scope="session")
def site(
    pytestconfig: pytest.Config,
    static_files: None,
    django_db_setup: None,
    django_db_blocker: Any,
) -> Iterator[Stack]:
    """The product as it runs: web, worker and beat on the test database."""
    stack = pytestconfig.stash[STACK]
    stack.environ["DATABASE_URL"] = with_database(
        stack.environ["DATABASE_URL"], connection.settings_dict["NAME"]
    )
    stack.port = free_port(0)
    # A scan of the API would meet the limit on a machine that is fast enough.
    stack.environ["API_RATE_HEAVY"] = "off"
    # Files of the tests are short: in more chunks than one process applies, as long ones are.
    stack.environ["IMPORT_CHUNK_ROWS"] = "10000"
    with django_db_blocker.unblock():
        stack.start_web()
        stack.start_worker()
        stack.start_beat()
        stack.wait_for_web()
        wait_for(lambda: answers_well(f"http://127.0.0.1:{stack.port}/readyz"))
    yield stack
    stack.stop_processes()


def wait_for(condition: Callable[[], Any], seconds: float = WAIT_SECONDS) -> Any:
    """Wait until a condition holds, and return what it gave."""
    return wait_until(condition, seconds=seconds, what="what the test waits for", look_seconds=0.1)


def answers_well(url: str) -> bool:
    """Whether there is an answer and no error; one that does not come in time may come later."""
    try:
        return requests.get(url, timeout=30).ok
    except requests.RequestException:
        return False


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that the database's user can reach, which as root is another one.

    Not below pytest's own: another run that begins closes that to everybody else.
    """
    folder = Path(tempfile.mkdtemp(prefix="product-importer-tests-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def stores_folder() -> Iterator[Path]:
    """A folder for servers of a test's own."""
    with open_folder() as folder:
        yield folder


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """A hash takes a third of a second otherwise, and most tests make a user.

    The running product checks these too: how often it was hashed is part of a hash.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PBKDF2PasswordHasher, "iterations", 1000)
        yield


@pytest.fixture(scope="session", autouse=True)
def _static_files_looked_up_once() -> Iterator[None]:
    """Each client of Django's makes the middleware anew, which looks at every static file."""
    look_up = WhiteNoise.update_files_dictionary
    found: dict[tuple[str, str], dict[str, Any]] = {}

    def remembered(middleware: WhiteNoise, root: str, prefix: str) -> None:
        if root.rstrip(os.sep) != str(settings.STATIC_ROOT):
            look_up(middleware, root, prefix)
            return
        if (root, prefix) not in found:
            look_up(middleware, root, prefix)
            found[root, prefix] = dict(middleware.files)
        middleware.files.update(found[root, prefix])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoise, "update_files_dictionary", remembered)
        yield


@pytest.fixture(autouse=True)
def _forget_counts() -> None:
    """Tests put products into the table past the operations, which the kept counts rely on."""
    counts.clear()


@pytest.fixture(autouse=True)
def _forget_ids() -> None:
    """A test that plays the worker binds ids for the logs, as a task does until its end."""
    clear_contextvars()


@pytest.fixture(autouse=True)
def _begins_without_a_connection(request: pytest.FixtureRequest) -> None:
    """A test without a database finds no connection that one before it had left open.

    A request gives back what its thread has, which would be a use of the database then.
    """
    marked = request.node.get_closest_marker("django_db") is not None
    if not marked and "_django_db_helper" not in request.fixturenames:
        connections.close_all()


@pytest.fixture(autouse=True)
def _emptied_first(request: pytest.FixtureRequest) -> Iterator[None]:
    """Where the emptying of the tables and the running product block each other, it goes first.

    PostgreSQL ends the one that looks for a deadlock: the one that waits for a second, as set.
    """
    runs = "site" in request.fixturenames
    if runs:
        request.getfixturevalue("transactional_db")
    yield
    if runs:
        with connection.cursor() as cursor:
            cursor.execute("SET deadlock_timeout = '60s'")


@pytest.fixture
def make_user(db: None) -> Callable[..., User]:
    """Make a user with a role: viewer, editor, manager or none."""

    def make(name: str = "mara", role: str = "manager") -> User:
        user = User.objects.create_user(name, password=PASSWORD)
        if role:
            _make_roles()
            user.groups.add(Group.objects.get(name=role))
        return user

    return make


_GRANTED: set[tuple[str, int]] = set()  # what the roles hold: their names, and permissions


def _make_roles() -> None:
    """Do what the migrations did, where a test took it away.

    It is a few hundred queries, nearly always for nothing: so first one that looks.
    """
    held = Group.objects.values_list("name", "permissions")
    if _GRANTED and set(held.all()) >= _GRANTED:
        return
    for module in pkgutil.iter_modules(product_importer.migrations.__path__):
        migration = importlib.import_module(f"product_importer.migrations.{module.name}")
        if hasattr(migration, "make_roles"):
            migration.make_roles(apps, None)
    _GRANTED.clear()
    _GRANTED.update(held.all())


@pytest.fixture
def user(make_user: Callable[..., User]) -> User:
    return make_user()


@pytest.fixture
def page(client: Client, user: User, static_files: None) -> Client:
    """The pages, as a logged-in user sees them."""
    client.force_login(user)
    return client


@pytest.fixture
def make_product() -> Callable[..., Product]:
    def make(sku: str = "A-1", name: str = "Lamp", **values: Any) -> Product:
        return Product.objects.create(sku=sku, name=name, **values)

    return make


@pytest.fixture
def upload(transactional_db: None) -> Callable[..., ImportJob]:
    """Start an import of these bytes; the worker (if the site runs) takes it from there."""

    def start(content: bytes | str, file_name: str = "products.csv", **values: Any) -> ImportJob:
        data = content.encode() if isinstance(content, str) else content
        return start_import(
            file=File(io.BytesIO(data), name=file_name),
            file_name=file_name,
            user=values.pop("user", None),
            **values,
        )

    return start


@pytest.fixture
def run_import(site: Stack, upload: Callable[..., ImportJob]) -> Callable[..., ImportJob]:
    """Import these bytes through the real pipeline, and return the job as it ended.

    However unusual they are: one that waits for somebody would not end.
    """

    def run(content: bytes | str, **values: Any) -> ImportJob:
        return finished(upload(content, **{"checks": "warn", **values}))

    return run


def clicks_in_docs(task: str) -> int:
    """How many clicks docs/catalogue.md says that a task takes: the tests that count hold it."""
    table = (BASE_DIR / "docs" / "catalogue.md").read_text()
    (clicks,) = re.findall(rf"^\| {re.escape(task)} \| (\d+) \|", table, re.MULTILINE)
    return int(clicks)


class Messages:
    """What was sent to the workers, which the test plays itself."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Any, ...]] = []  # the task, and what it is given

    def run_all(self, until: Callable[[], Any] | None = None) -> None:
        """Do what the messages ask for until there are none, or a condition holds."""
        for _ in range(1000):
            if not self.waiting or (until is not None and until()):
                return
            self.obey(*self.waiting.pop(0))
        raise AssertionError("the messages do not end")

    def obey(self, task: str, *arguments: Any) -> None:
        """Do what a message asks for, in the body of its task."""
        current_app.tasks[task].run(*arguments)


@pytest.fixture(scope="session")
def known_tasks() -> None:
    """What a worker does first, so that it knows the tasks."""
    current_app.loader.import_default_modules()


@pytest.fixture
def messages(
    known_tasks: None, monkeypatch: pytest.MonkeyPatch, transactional_db: None
) -> Messages:
    """Messages are kept here instead of being sent: the test is the worker."""
    kept = Messages()
    monkeypatch.setattr(
        enqueue, "_send_now", lambda task, args, *_: kept.waiting.append((task, *args))
    )
    return kept


def finished(job: ImportJob) -> ImportJob:
    """Wait for the end of a job."""

    def ended() -> bool:
        job.refresh_from_db(fields=["status"])  # of some eighty columns
        return job.is_final

    wait_for(ended)
    job.refresh_from_db()
    return job


class Browserless:
    """The site over HTTP, as a logged-in user or as a program."""

    def __init__(self, base: str, user: User) -> None:
        self.base = base
        self.session = requests.Session()
        self.session.trust_env = False
        _, token = make_token(user=user)
        self.session.headers["Authorization"] = f"Token {token}"

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.base + path, timeout=300, **options)

    def post(self, path: str, **options: Any) -> requests.Response:
        return self.session.post(self.base + path, timeout=300, **options)


@pytest.fixture
def api(site: Stack, transactional_db: None, user: User) -> Browserless:
    return Browserless(f"http://127.0.0.1:{site.port}", user)


# --- A person at the pages, in a real Chromium ------------------------------------------


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    # Playwright's own loop runs in this thread, where Django then sees an event loop.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        with sync_playwright() as running:
            yield running
            # Those that were opened beside its loop cannot be reached without it.
            connections.close_all()


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    started = playwright.chromium.launch(
        executable_path=find_chromium(),
        args=[
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ],
    )
    yield started
    started.close()


def violations(message: ConsoleMessage) -> list[str]:
    """What the browser says on its console when a page wants what its policy forbids."""
    return [message.text] if "Content Security Policy" in message.text else []


def session_cookie(name: str, base: str) -> Any:
    """A session of a user, as the log-in page would have begun it."""
    client = Client()
    client.force_login(User.objects.get(username=name))
    cookie = settings.SESSION_COOKIE_NAME
    return {"name": cookie, "value": client.cookies[cookie].value, "url": base}


@pytest.fixture
def open_page(browser: Browser, site: Stack, user: User) -> Iterator[Callable[..., Page]]:
    """Open a logged-in page; at the end no page may have had an error in its scripts.

    Nor may any have wanted what the content security policy forbids.
    """
    contexts = []
    faults: list[str] = []

    def start(name: str = "mara", **options: Any) -> Page:
        context = browser.new_context(base_url=f"http://127.0.0.1:{site.port}", **options)
        context.set_default_timeout(BROWSER_SECONDS * 1000)
        context.add_cookies([session_cookie(name, f"http://127.0.0.1:{site.port}")])
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda message: faults.extend(violations(message)))
        page.goto("/")
        expect(page.locator("#pi-main")).to_be_visible()
        return page

    yield start
    for context in contexts:
        context.close()
    assert faults == []
