"""``bin/test``: the checks of the code, and the tests by pytest.

Arguments go to pytest. Where they choose some of the tests, the checks are left out.
"""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from product_importer.environment import BASE_DIR

BIN = Path(sys.executable).parent
CHOOSES = re.compile(r"-[km]|--(lf|ff|co|version|help)\b|-h$|[^-]")


def quick_checks() -> list[list[str]]:
    templates = sorted(str(path) for path in (BASE_DIR / "templates").rglob("*.html"))
    return [
        ["ruff", "check"],
        ["ruff", "format", "--check"],
        ["lint-imports"],
        ["djade", "--check", "--target-version", "5.2", *templates],
    ]


def main(arguments: list[str]) -> int:
    pytest = [sys.executable, "-m", "pytest", *arguments]
    if any(CHOOSES.match(argument) for argument in arguments):
        return subprocess.call(pytest, cwd=BASE_DIR)
    failed = [command[0] for command in quick_checks() if _run(command)]
    # Half a minute where nothing is in its cache: beside the tests.
    types = _start(["mypy", "."])
    began = time.monotonic()
    code = subprocess.call(pytest, cwd=BASE_DIR)
    print(f"pytest: {time.monotonic() - began:.0f} s", flush=True)
    if _end("mypy", types):
        failed.append("mypy")
    print("Failed:" if failed else "All checks of the code passed.", *failed, flush=True)
    return code or bool(failed)


def _run(command: list[str]) -> int:
    began = time.monotonic()
    code = _end(command[0], _start(command))
    print(f"{' '.join(command[:2])}: {time.monotonic() - began:.1f} s", flush=True)
    return code


def _start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [BIN / command[0], *command[1:]],
        cwd=BASE_DIR,
        env={**os.environ, **_environ()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def _end(name: str, process: subprocess.Popen[bytes]) -> int:
    """Wait for the end of a check, and show what it said if it failed."""
    output, _ = process.communicate()
    if process.returncode:
        print(f"{name} failed:\n{output.decode(errors='replace')}", flush=True)
    return process.returncode


def _environ() -> dict[str, str]:
    """What settings need to be read, which mypy's plugin does; nothing is connected to."""
    return {
        "DATABASE_URL": "postgres://none/none",
        "REDIS_URL": "redis://none",
        "SECRET_KEY": "of-a-check",
        "ALLOWED_HOSTS": "localhost",
        "HTTPS": "false",
        "DATA_DIR": str(BASE_DIR / ".data-tests"),
        "DJANGO_SETTINGS_MODULE": "product_importer.settings",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
