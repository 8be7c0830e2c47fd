"""Keeps every part of a local start running until somebody stops it."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NoReturn

import psutil

from product_importer.local.processes import end, left_in_group
from product_importer.local.stack import Stack

# Seconds before the first start again, the second ...; the last one for all that follow.
WAITS = (0, 1, 2, 4, 8, 16, 30)
STEADY_SECONDS = 60.0  # a part that ran for so long has the waits begin anew
LOOK_SECONDS = 0.2


@dataclass
class Part:
    """One program of the product, with what it takes to start it again.

    ``start`` returns when the program runs, not when it answers: a database that recovers takes
    as long as it takes. ``left`` finds what runs on after the program itself has ended, and
    would be in the way of the next one: it has the port, the memory, the files.
    """

    name: str
    log: Path
    child: Callable[[], subprocess.Popen[bytes] | None]
    start: Callable[[], None]
    left: Callable[[int], list[psutil.Process]] = left_in_group
    tries: int = 0  # starts in a row that did not last
    started: float = field(default_factory=time.monotonic)
    due: float | None = None  # when it is started again, by the monotonic clock

    def look_after(self) -> None:
        """Start it again if it has ended: at once at first, then after longer and longer waits."""
        child = self.child()
        if child is None:
            return
        if self.due is None and child.poll() is not None:
            self._clear_away(child)
        if self.due is not None and time.monotonic() >= self.due:
            self._start_again()

    def _clear_away(self, child: subprocess.Popen[bytes]) -> None:
        self._say(f"ended with {_how(child.returncode)} (see {self.log}); {self._plan()}.")
        if left := self.left(child.pid):
            self._say(f"left processes: {len(left)}; waiting for them to end ...")
            end(left)

    def _start_again(self) -> None:
        self.due = None
        self.started = time.monotonic()
        try:
            self.start()
        except Exception as error:
            # Whatever it is, a full disk or no more processes: it may be over at the next try,
            # and the other parts are looked after meanwhile.
            self._say(f"could not be started: {error}; {self._plan()}.")

    def _plan(self) -> str:
        if time.monotonic() - self.started > STEADY_SECONDS:
            self.tries = 0
        wait = WAITS[min(self.tries, len(WAITS) - 1)]
        self.tries += 1
        self.due = time.monotonic() + wait
        return f"starting it again in {wait} s" if wait else "starting it again"

    def _say(self, what: str) -> None:
        print(self.name, what, flush=True)


class Supervisor:
    """Looks after all parts of a stack that was started."""

    def __init__(self, stack: Stack) -> None:
        self.parts: list[Part] = []
        if postgres := stack.postgres:
            self.parts.append(
                Part(
                    "PostgreSQL",
                    postgres.log,
                    child=lambda: postgres.child,
                    start=partial(stack.launch_again, postgres),
                    left=lambda _: postgres.processes(),
                )
            )
        if valkey := stack.valkey:
            self.parts.append(
                Part(
                    "Valkey",
                    valkey.log,
                    child=lambda: valkey.child,
                    start=partial(stack.launch_again, valkey),
                )
            )
        for name, start in (
            ("web", stack.start_web),
            ("worker", stack.start_worker),
            ("beat", stack.start_beat),
        ):
            child = partial(stack.processes.get, name)
            self.parts.append(Part(name, stack.log_of(name), child=child, start=start))

    def look_after(self) -> None:
        """Start again what has ended and is due. Never raises for a part that cannot start."""
        for part in self.parts:
            part.look_after()

    def run(self) -> NoReturn:
        """Look after the parts until an exception from outside, such as Ctrl-C, ends it."""
        while True:
            self.look_after()
            time.sleep(LOOK_SECONDS)


def _how(returncode: int) -> str:
    return f"signal {-returncode}" if returncode < 0 else f"code {returncode}"
