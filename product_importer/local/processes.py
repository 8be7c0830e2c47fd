"""Child processes that never outlive their parent."""

import ctypes
import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")

PR_SET_PDEATHSIG = 1  # Linux, prctl(2)
LOOK_SECONDS = 0.02  # between two looks at what is waited for
GRACE_SECONDS = 5.0  # for processes whose parent has ended to end by themselves


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


def keep_bytecode(folder: Path) -> None:
    """Keep compiled modules in a folder, where none are to be beside the code.

    For this process and its children. ``PYTHONDONTWRITEBYTECODE`` is set in many containers: each
    process would compile thousands of modules anew (3 of 5 s), and keep 5 MB for having done so.
    """
    if sys.dont_write_bytecode:
        sys.dont_write_bytecode = False
        sys.pycache_prefix = str(folder / "bytecode")
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = sys.pycache_prefix


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
    """Ask a child to end, and end it if it has not after ``seconds``; then what it left."""
    if child.poll() is None:
        child.send_signal(signum)
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    end(left_in_group(child.pid))


def left_in_group(leader: int) -> list[psutil.Process]:
    """What still runs of the process group of a child that has ended, by its process id.

    Nothing, if there is a process of that number again: the kernel does not give a number away
    that a group still has, so that one is another program's, and so is its group.
    """
    if psutil.pid_exists(leader):
        return []
    found = []
    for process in psutil.process_iter():
        with suppress(OSError):  # it has ended, or we may not ask
            if os.getpgid(process.pid) == leader and runs(process):
                found.append(process)
    return found


def end(processes: Iterable[psutil.Process], *, seconds: float = GRACE_SECONDS) -> None:
    """Ask processes to end, and kill those that have not after ``seconds``.

    Any, not only children. Returns at the latest ``GRACE_SECONDS`` after the killing: one that
    waits for a broken disk ends when the disk answers.
    """
    running = [process for process in processes if runs(process)]
    for signum, limit in ((signal.SIGTERM, seconds), (signal.SIGKILL, GRACE_SECONDS)):
        for process in running:
            with suppress(psutil.Error):  # it ended between looking and acting, or is not ours
                process.send_signal(signum)
        deadline = time.monotonic() + limit
        while running and time.monotonic() < deadline:
            time.sleep(0.02)
            running = [process for process in running if runs(process)]


def kill(processes: Iterable[psutil.Process]) -> None:
    """kill -9; what one of them had held alive may have ended by itself when its turn comes."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def runs(process: psutil.Process) -> bool:
    """Whether it has not ended. A zombie has: where nobody asks for its code, it stays for ever."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(
    condition: Callable[[], T], *, seconds: float, what: str, look_seconds: float = LOOK_SECONDS
) -> T:
    """Wait until a condition holds, and return what it gave.

    ``look_seconds``: between two looks at most. What did not come at once is looked for less
    often, up to there: a look takes the processor from what is waited for.

    Raises ``TimeoutError`` that names ``what`` was waited for.
    """
    began = time.monotonic()
    while not (found := condition()):
        waited = time.monotonic() - began
        if waited > seconds:
            raise TimeoutError(f"{what}: not after {seconds:g} seconds")
        time.sleep(min(max(LOOK_SECONDS, waited / 20), look_seconds))
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
    """End what an earlier, killed start has left running; only what that start wrote down.

    ``file`` is in that start's data folder.
    """
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
            # Its workers may live on without it. So may, days later, a stranger's of that number.
            leftovers += [p for p in left_in_group(int(pid)) if _works_on(p, file.parent)]
    end(leftovers, seconds=15)
    file.unlink()


def _works_on(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.environ().get("DATA_DIR") == str(folder)
    except psutil.Error:
        return False
