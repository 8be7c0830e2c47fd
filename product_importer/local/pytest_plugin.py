"""Starts a PostgreSQL and a Valkey of their own for one test run.

Loaded by ``-p`` (pyproject.toml), because they must answer before pytest-django reads the
settings. DATABASE_URL and REDIS_URL take their place, as for ``bin/run``.
"""

import atexit
import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from product_importer.local.stack import Stack

STACK = pytest.StashKey[Stack]()


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests(
    early_config: pytest.Config,
) -> Generator[None, None, None]:
    """A wrapper, so that it runs before pytest-django's own hook of this name."""
    folder = Path(tempfile.mkdtemp(prefix="product-importer-tests-"))
    folder.chmod(0o755)  # as root, the database runs as another user
    stack = Stack(folder, port=0)

    def end() -> None:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)

    atexit.register(end)
    stack.start_stores(redis_port=0)
    # Receivers in tests listen on loopback, like everything else.
    stack.environ["WEBHOOK_ALLOWED_CIDRS"] = "127.0.0.0/8"
    stack.environ["LOG_FORMAT"] = "json"  # as in production: tests read the logs
    os.environ.update(stack.environ)
    early_config.stash[STACK] = stack
    yield
