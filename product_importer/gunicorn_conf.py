"""How gunicorn serves the site (``gunicorn -c python:product_importer.gunicorn_conf``)."""

import os
from typing import Any

from imports.received import clear_old_uploads
from product_importer.environment import data_dir

# Before settings are read: under ASGI every request has its own thread (see settings.py).
os.environ.setdefault("DATABASE_POOL", "true")

wsgi_app = "product_importer.asgi:application"
worker_class = "uvicorn_worker.UvicornWorker"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
bind = os.environ.get("BIND", f"0.0.0.0:{os.environ.get('PORT', '8000')}").split(",")
graceful_timeout = 5  # an open event stream must not hold a shutdown
timeout = 60
# uvicorn would take the client's address from X-Forwarded-For, which on this machine anybody
# can send. Settings tell how far the header is believed (PROXIES).
forwarded_allow_ips = ""
keepalive = 5
control_socket_disable = True
accesslog = None


def on_starting(server: Any) -> None:
    """Take away the halves of uploads that an earlier, killed server left on the disk."""
    clear_old_uploads(data_dir() / "tmp")
