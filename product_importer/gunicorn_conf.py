"""How gunicorn serves the site (``gunicorn -c python:product_importer.gunicorn_conf``)."""

import os
import shutil
import tempfile
from typing import Any

from imports.files.temp import clear_old_uploads
from product_importer.common.heaps import bound_heaps
from product_importer.environment import Environment, data_dir, read_local_file
from product_importer.ops import logging

env = Environment({**read_local_file(data_dir()), **os.environ})

# Before settings are read: under ASGI every request has its own thread (see settings.py).
os.environ.setdefault("DATABASE_POOL", "true")
# Each web process writes its metrics to files here, and whichever is asked adds them up. Read
# by prometheus_client when it is imported; a reload of this file goes on with the same folder.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp(prefix="product-importer-metrics-")

bound_heaps()

wsgi_app = "product_importer.asgi:application"
worker_class = "product_importer.web.server.Worker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
bind = os.environ.get("BIND", f"0.0.0.0:{os.environ.get('PORT', '8000')}").split(",")
graceful_timeout = 5  # an open event stream must not hold a shutdown
timeout = 60
# uvicorn would take the client's address from X-Forwarded-For, which on this machine anybody
# can send. Settings tell how far the header is believed (PROXIES).
forwarded_allow_ips = ""
keepalive = 5
control_socket_disable = True
accesslog = None  # the middleware tells of each request, with its id
logconfig_dict = logging.configure(
    format=env.text("LOG_FORMAT", "json"), level=env.text("LOG_LEVEL", "INFO")
)


def on_starting(server: Any) -> None:
    """Take away the halves of uploads that an earlier, killed server left on the disk."""
    clear_old_uploads(data_dir() / "tmp")


def child_exit(server: Any, worker: Any) -> None:
    """Forget what a web process that has ended was doing; what it had counted stays counted."""
    from prometheus_client import multiprocess  # not before its folder is set, above

    multiprocess.mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Take the metrics' files away with the server."""
    shutil.rmtree(os.environ["PROMETHEUS_MULTIPROC_DIR"], ignore_errors=True)
