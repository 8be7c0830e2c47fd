"""How the processes of a test run share its tests."""

import os
from pathlib import Path

import pytest

from product_importer.local.pytest_plugin import FOLDER, worker_number


@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(4))
def test_the_tests_of_a_group_run_in_one_process(number: int) -> None:
    """The last one sees who had the others."""
    folder = Path(os.environ[FOLDER])
    (folder / f"together-{number}").write_text(str(worker_number()))
    assert {file.read_text() for file in folder.glob("together-*")} == {str(worker_number())}
