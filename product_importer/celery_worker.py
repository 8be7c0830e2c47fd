"""``python -m product_importer.celery_worker``: a Celery worker, and nothing it does not need.

The same worker as ``celery -A product_importer worker``, without the weight of Celery's command
line (a shell with completion and colours, 10 MB in each process) and without Django's system
checks, which would load every view and the admin into it (18 MB; ``manage.py check`` runs them).
"""

import argparse
import logging
import os
import signal
import sys
import threading
import time
from contextlib import suppress
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "product_importer.settings")
os.environ.setdefault("CELERY_SKIP_CHECKS", "1")
# SIGTERM hands running work back and ends within worker_soft_shutdown_timeout. Billiard reads
# this when it is imported.
os.environ.setdefault("REMAP_SIGTERM", "SIGQUIT")

import billiard
from celery.signals import worker_ready

from product_importer.common.heaps import bound_heaps

# Celery can hang on its way out when the broker went away at the same moment. Whatever it still
# wants to tell the broker is only a hint, so it may not keep the process from ending.
SHUTDOWN_SECONDS = 12.0


RESTART_SECONDS = 1.0  # before a worker that broke down starts again

_asked_to_end: list[bool] = []  # one for each signal
_watched: dict[Any, Any] = {}  # Celery's handlers by signal, and the process that has them


def _watch_signals(**_: Any) -> None:
    """Have the shutdown timed from its signal on.

    Celery's own word of it, ``worker_shutting_down``, comes only when the soft shutdown is over,
    and that is where it may hang: it waits for children inside the signal's handler.
    """
    if _watched:
        return  # the connection to the broker came back: the worker is ready once more
    _watched["pid"] = os.getpid()
    for signum in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
        _watched[signum] = signal.getsignal(signum)
        signal.signal(signum, _on_signal)


def _on_signal(signum: int, frame: Any) -> None:
    if os.getpid() == _watched["pid"]:  # not in a child, which has this from its parent
        _end_in_time()
    celerys = _watched[signum]
    if callable(celerys):
        celerys(signum, frame)


def _end_in_time(**_: Any) -> None:
    """End this process, and the children that are left, if the shutdown takes too long."""
    _asked_to_end.append(True)
    if len(_asked_to_end) > 1:
        return

    def end() -> None:
        for child in billiard.active_children():
            if child.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
        os._exit(1)

    timer = threading.Timer(SHUTDOWN_SECONDS, end)
    timer.daemon = True
    timer.start()


def main() -> int:
    parser = argparse.ArgumentParser(prog="celery_worker", description=__doc__)
    parser.add_argument(
        "--concurrency",
        type=int,
        default=int(os.environ.get("WORKER_CONCURRENCY") or 2),
        help="processes that run tasks (default: WORKER_CONCURRENCY, else 2)",
    )
    parser.add_argument("--name", default="worker", help="this worker's name on its host")
    options = parser.parse_args()

    bound_heaps()
    from product_importer.celery import app

    worker_ready.connect(_watch_signals)
    worker = app.Worker(
        hostname=f"{options.name}@{os.uname().nodename}",
        concurrency=options.concurrency,
        loglevel=logging.INFO,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    if worker.exitcode and not _asked_to_end:
        _begin_anew()
    return int(worker.exitcode or 0)


def _begin_anew() -> None:
    """Start this program again, in the same process, after an error that ended the worker.

    Celery ends for good if its connection to the broker breaks while a message is not yet
    acknowledged (kombu then asks a closed connection for its address). Somebody has to be there
    when the broker is back. What its children were at is done again.
    """
    logging.getLogger(__name__).error("the worker ended with an error; it starts again")
    for child in billiard.active_children():
        if child.pid is not None:
            os.kill(child.pid, signal.SIGKILL)
    time.sleep(RESTART_SECONDS)
    os.execv(  # noqa: S606 (our own program)
        sys.executable, [sys.executable, "-m", "product_importer.celery_worker", *sys.argv[1:]]
    )


if __name__ == "__main__":
    sys.exit(main())
