"""``bin/run``: start everything, say where it is, stop it cleanly."""

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType
from typing import NoReturn

import psycopg

from product_importer.environment import BASE_DIR, data_dir
from product_importer.local.processes import end_leftovers, free_port, keep_bytecode
from product_importer.local.stack import Stack
from product_importer.local.supervisor import Supervisor


class _Stopped(BaseException):
    """SIGTERM or SIGINT arrived. Like Ctrl-C no error, so that nobody takes it for one."""


def main() -> int:
    folder = data_dir()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"Product Importer runs already on {folder}. Stop it first.", file=sys.stderr)
            return 1
        for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(signum, _raise_stopped)
        keep_bytecode(folder)
        stack = Stack(folder, port=0)
        try:
            _run(stack)
        except _Stopped:
            print("\nStopping ...", flush=True)
            return 0
        finally:
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(signum, signal.SIG_IGN)  # once is enough: let the stop finish
            (folder / "local.json").unlink(missing_ok=True)
            stack.stop()
            print("Stopped. The data stay in", folder, flush=True)


def _run(stack: Stack) -> NoReturn:
    folder = stack.folder
    end_leftovers(stack.pid_file)
    stack.port = free_port(int(os.environ.get("PORT") or 8000))
    stack.start_stores()
    local = folder / "local.json"
    local.touch(mode=0o600)
    local.write_text(json.dumps(stack.environ, indent=1))
    stack.manage("migrate", "--no-input")
    _collect_static(stack)
    stack.start_web()
    stack.start_worker()
    stack.start_beat()
    _make_admin(stack)
    stack.wait_for_web()
    # So far an error ends the start, because it will not mend itself; from now on nothing does.
    stack.check_started()
    print(f"Ready: http://localhost:{stack.port}", flush=True)
    Supervisor(stack).run()


def _collect_static(stack: Stack) -> None:
    """Gather the static files, if anything that they come from is newer than the last time."""
    done = stack.folder / "static-collected"
    sources = [BASE_DIR / "requirements-local.txt", BASE_DIR / "product_importer" / "settings.py"]
    sources += (BASE_DIR / "static").rglob("*")
    newest = max(source.stat().st_mtime for source in sources)
    collected = Path(stack.environ["STATIC_ROOT"])
    if collected.exists() and done.exists() and done.stat().st_mtime > newest:
        return
    stack.manage("collectstatic", "--no-input")
    done.touch()


def _make_admin(stack: Stack) -> None:
    """Create the user ``admin`` where there is none; a password nobody set is printed once."""
    given = os.environ.get("ADMIN_PASSWORD", "")
    password = given or secrets.token_urlsafe(12)
    if "created" in stack.manage("make_admin", "admin", environ={"ADMIN_PASSWORD": password}):
        shown = "from ADMIN_PASSWORD" if given else f"{password}   (shown only now)"
        print(f"User: admin   Password: {shown}", flush=True)


def _raise_stopped(signum: int, frame: FrameType | None) -> None:
    raise _Stopped


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, psycopg.Error, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
