"""What several tests of the whole product share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from product_importer.local.pytest_plugin import STACK
from product_importer.tests.hosting import Hosting


@pytest.fixture(scope="session")
def _hosting(pytestconfig: pytest.Config, static_files: None) -> Iterator[Hosting]:
    folder = Path(tempfile.mkdtemp(prefix="product-importer-hosting-"))
    folder.chmod(0o755)  # as root, the database runs as another user
    hosting = Hosting(folder, static_root=pytestconfig.stash[STACK].environ["STATIC_ROOT"])
    try:
        hosting.start()
        yield hosting
    finally:
        hosting.stop()
        shutil.rmtree(folder)


@pytest.fixture
def hosting(_hosting: Hosting) -> Iterator[Hosting]:
    """A hosting platform with the product released to it, empty, and no process begun."""
    _hosting.empty()
    yield _hosting
    _hosting.stop_processes()
