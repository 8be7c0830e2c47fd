"""How the processes of a test run share its tests."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from conftest import SHARED
from product_importer.local import processes
from product_importer.local.processes import wait_until
from product_importer.local.pytest_plugin import FOLDER, worker_number


@pytest.mark.xdist_group("together")
@pytest.mark.parametrize("number", range(4))
def test_the_tests_of_a_group_run_in_one_process(number: int) -> None:
    """The last one sees who had the others."""
    folder = Path(os.environ[FOLDER])
    (folder / f"together-{number}").write_text(str(worker_number()))
    assert {file.read_text() for file in folder.glob("together-*")} == {str(worker_number())}


def test_what_is_dear_to_start_makes_a_group(request: pytest.FixtureRequest) -> None:
    arranging = request.config.hook.pytest_collection_modifyitems.get_hookimpls()
    assert "pytest_keep_together" in [one.function.__name__ for one in arranging]
    for item in request.session.items:
        for name in set(SHARED) & {*getattr(item, "fixturenames", ())}:
            mark = item.get_closest_marker("xdist_group")
            assert mark is not None, item.nodeid
            assert mark.args == (name,), item.nodeid


def test_what_does_not_come_at_once_is_looked_for_less_often(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    clock = SimpleNamespace(monotonic=lambda: sum(slept), sleep=slept.append)
    monkeypatch.setattr(processes, "time", clock)
    assert wait_until(lambda: sum(slept) > 10, seconds=60, what="the end", look_seconds=0.1)
    assert (slept[0], max(slept)) == (0.02, 0.1)
    assert len(slept) < 200
    slept.clear()
    assert wait_until(lambda: sum(slept) > 10, seconds=60, what="the end")
    assert {*slept} == {0.02}
