"""Things break while an import runs: a short run of ``python -m benchmarks faults``."""

import json
import os
import subprocess
import sys
from pathlib import Path

from product_importer.environment import BASE_DIR

FAULTS = ("worker child", "whole worker", "broker flush", "database crash", "cancel and retry")


def test_whatever_breaks_the_import_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """On servers of its own, because it kills them."""
    tmp_path.chmod(0o755)
    environ = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "REDIS_URL")}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "faults", "--rows", "20000"),
            *("--runs", str(len(FAULTS)), "--only", ",".join(FAULTS), "--folder", str(tmp_path)),
        ],
        cwd=BASE_DIR,
        env=environ,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout)
    assert result["differing"] == []
    assert result["identical"] == len(FAULTS)
