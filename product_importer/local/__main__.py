"""``bin/run``: start everything, say where it is, stop it cleanly."""

import fcntl
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from product_importer.environment import BASE_DIR, data_dir
from product_importer.local.processes import end_leftovers, free_port
from product_importer.local.stack import Stack


class _Stopped(Exception):
    """SIGTERM or SIGINT arrived."""


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
        stack = Stack(folder, port=0)
        try:
            return _run(stack)
        except _Stopped:
            print("\nStopping ...", flush=True)
            return 0
        finally:
            for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(signum, signal.SIG_IGN)  # once is enough: let the stop finish
            (folder / "local.json").unlink(missing_ok=True)
            stack.stop()
            print("Stopped. The data stay in", folder, flush=True)


def _run(stack: Stack) -> int:
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
    print(f"Ready: http://localhost:{stack.port}", flush=True)
    return _watch(stack)


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


def _watch(stack: Stack) -> int:
    """Wait for a signal; a part that ends by itself is started again, not too often."""
    restarted: list[float] = []
    start: dict[str, Callable[[], None]] = {
        "web": stack.start_web,
        "worker": stack.start_worker,
        "beat": stack.start_beat,
    }
    while True:
        time.sleep(0.5)
        for store in (stack.postgres, stack.valkey):
            if store and store.child and store.child.poll() is not None:
                print(f"{type(store).__name__} ended; starting it again.", flush=True)
                _note(restarted)
                store.start()
        for name, child in list(stack.processes.items()):
            if child.poll() is not None:
                print(
                    f"{name} ended with code {child.returncode} (see {stack.log_of(name)}); "
                    "starting it again.",
                    flush=True,
                )
                _note(restarted)
                start[name]()


def _note(restarted: list[float]) -> None:
    now = time.monotonic()
    restarted.append(now)
    if len([at for at in restarted if now - at < 60]) > 10:
        raise RuntimeError("Parts keep ending. Their logs in the data folder say why.")


def _raise_stopped(signum: int, frame: FrameType | None) -> None:
    raise _Stopped


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, TimeoutError, subprocess.SubprocessError) as error:
        print(error, file=sys.stderr)
        sys.exit(1)
