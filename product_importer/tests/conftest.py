"""What several tests of the whole product share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from product_importer.tests.hosting import Hosting


@pytest.fixture(scope="session")
def _hosting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    folder: Path = tmp_path_factory.mktemp("hosting")
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)  # as root, the database runs as another user
    hosting = Hosting(folder)
    try:
        hosting.start()
        yield hosting
    finally:
        hosting.stop()


@pytest.fixture
def hosting(_hosting: Hosting) -> Iterator[Hosting]:
    """A hosting platform with the product released to it, empty, and no process begun."""
    _hosting.empty()
    yield _hosting
    _hosting.stop_processes()
