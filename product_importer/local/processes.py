"""Child processes that never outlive their parent."""

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

PR_SET_PDEATHSIG = 1  # Linux, prctl(2)


def die_with_parent(signum: int) -> Callable[[], None] | None:
    """For ``Popen(preexec_fn=...)``: on Linux the kernel sends ``signum`` when the parent dies.

    Elsewhere there is no such thing; the next start ends what was left (``end_leftovers``).
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def preexec() -> None:
        prctl(PR_SET_PDEATHSIG, signum)

    return preexec


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    environ: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    death_signal: int = signal.SIGTERM,
    user: str | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, its output going to ``log``.

    A session of its own, because Ctrl-C in the terminal must reach the supervisor alone: it
    stops the children in their order.
    """
    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(os.environ if environ is None else environ),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=die_with_parent(death_signal),
            user=user,
            group=main_group(user),
            extra_groups=[] if user else None,
        )


def main_group(user: str | None) -> int | None:
    """The main group of a user, for ``Popen(group=...)``."""
    if user is None:
        return None
    return pwd.getpwnam(user).pw_gid


def stop(child: subprocess.Popen[bytes], signum: int, *, seconds: float) -> None:
    """Ask a child to end, and end it if it has not after ``seconds``."""
    if child.poll() is not None:
        return
    child.send_signal(signum)
    try:
        child.wait(seconds)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def wait_until(condition: Callable[[], T], *, seconds: float, what: str) -> T:
    """Wait until a condition holds, and return what it gave.

    Raises ``TimeoutError`` that names ``what`` was waited for.
    """
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not after {seconds:g} seconds")
        time.sleep(0.02)
    return found


def free_port(wanted: int) -> int:
    """``wanted``, or a free port in its place if another program listens there."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def remember(children: Sequence[subprocess.Popen[bytes]], file: Path) -> None:
    """Write down who was started, by process id and start time, for ``end_leftovers``."""
    lines = []
    for child in children:
        try:
            lines.append(f"{child.pid} {psutil.Process(child.pid).create_time()}\n")
        except psutil.NoSuchProcess:
            continue  # it has ended already: nothing to remember
    file.write_text("".join(lines))


def end_leftovers(file: Path) -> None:
    """End what an earlier, killed start has left running; only what that start wrote down."""
    if not file.exists():
        return
    leftovers = []
    for line in file.read_text().splitlines():
        pid, started = line.split()
        try:
            process = psutil.Process(int(pid))
            if abs(process.create_time() - float(started)) < 0.01:
                leftovers += [process, *process.children(recursive=True)]
        except psutil.NoSuchProcess:
            continue
    for process in leftovers:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(leftovers, timeout=15)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=5)
    file.unlink()


def _quietly(act: Callable[[], None]) -> None:
    try:
        act()
    except psutil.NoSuchProcess:
        return  # it ended between looking and acting
