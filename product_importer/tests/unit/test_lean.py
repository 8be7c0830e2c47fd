"""Processes load no library only because it is there; what they need it for goes on."""

import subprocess
import sys

from product_importer.environment import BASE_DIR

LOADED = """
import sys
import product_importer
print(*sorted({name.split(".")[0] for name in sys.modules}))
"""
# Billiard has the kernel end a worker's children with it; it would fail without a word.
DEATH_SIGNAL = """
import signal
import product_importer
from billiard.util import get_pdeathsig, set_pdeathsig
set_pdeathsig(signal.SIGKILL)
print(int(get_pdeathsig()) == signal.SIGKILL)
import cffi, yaml
"""
ZONES = """
import sys
from datetime import datetime
import product_importer
from zoneinfo import ZoneInfo
summer = datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin"))
print(not any(name.startswith("_sysconfigdata") for name in sys.modules), summer.utcoffset())
"""


def said_by(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=BASE_DIR, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_libraries_that_others_only_find_are_not_loaded() -> None:
    loaded = said_by(LOADED).split()
    assert {"celery", "structlog", "kombu"} <= {*loaded}
    assert not {"cffi", "greenlet", "psutil", "rich", "yaml"} & {*loaded}


def test_time_zones_are_found_without_looking_at_how_python_was_built() -> None:
    assert said_by(ZONES) == "True 2:00:00"


def test_children_of_a_worker_still_end_with_it_and_what_was_left_out_can_be_had() -> None:
    assert said_by(DEATH_SIGNAL) == "True"
