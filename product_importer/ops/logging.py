"""Structured logs: one event a line, as JSON or readable, with the ids of what it belongs to.

Everything goes through the same format, structlog's own events and those of the libraries
(Django, Celery, gunicorn, uvicorn), to standard error. Ids (``request_id``, ``job_id`` ...) are
bound to the context by the middleware and by the operations, and every line carries them.
"""

import logging
import re
from collections.abc import MutableMapping
from functools import lru_cache
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

FORMATS = ("json", "plain")

# What must never be read in a log, whoever lets it slip: by the name of its field, or by its look.
SECRET_FIELDS = re.compile(r"token|secret|password|authorization|cookie|signature", re.I)
SECRET_TEXTS = re.compile(
    r"whsec_[\w+/=-]+"  # signing secrets
    r"|(?<=Token )\w{16,}|(?<=Bearer )\S+"  # API tokens
    r"|(?<=://)[^/\s@]*:[^/\s@]+(?=@)"  # user and password in an address
)
# PostgreSQL adds to an error the values that it is about: of products, and lines of a file.
VALUES = re.compile(
    r"\n(?:DETAIL|CONTEXT|LINE \d+):.*?(?=\n\n(?:The above|During handling)|\Z)"
    r'|(?<=: )"[^"\n]*"$',
    re.DOTALL | re.MULTILINE,
)
REMOVED = "[removed]"


def without_secrets(text: str) -> str:
    """A text without what looks like a token, a signing secret or a password."""
    return SECRET_TEXTS.sub(REMOVED, text)


def without_values(text: str) -> str:
    """An error's text without the values that the database was given."""
    return VALUES.sub("", without_secrets(text))


@lru_cache(maxsize=1000)
def _is_secret(field: str) -> bool:
    return bool(SECRET_FIELDS.search(field))


def remove_secrets(logger: Any, method: str, event: EventDict) -> EventDict:
    """A processor: the last look at a line before it is written."""
    for name, value in event.items():
        if _is_secret(name):
            event[name] = REMOVED
        elif name in ("exception", "error"):
            event[name] = without_values(str(value))
        elif isinstance(value, str):
            event[name] = without_secrets(value)
    return event


_BEFORE: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def _formatter(log_format: str) -> structlog.stdlib.ProcessorFormatter:
    last: Processor = structlog.processors.JSONRenderer()
    if log_format == "plain":
        last = structlog.dev.ConsoleRenderer(
            colors=False, exception_formatter=structlog.dev.plain_traceback
        )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_BEFORE,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,  # a text, without the values of variables
            remove_secrets,
            last,
        ],
    )


def configure(*, format: str, level: str) -> dict[str, Any]:
    """Set structlog up, and return Django's ``LOGGING``.

    ``format`` is one of ``FORMATS``, ``level`` a name such as ``INFO``.
    """
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_BEFORE,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    ours: MutableMapping[str, Any] = {"handlers": [], "propagate": True}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"structured": {"()": _formatter, "log_format": format}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "stream": "ext://sys.stderr",
                "formatter": "structured",
            },
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            # They come with handlers of their own.
            "django": ours,
            "django.server": ours,
            "gunicorn.error": {**ours, "level": "INFO"},
            "uvicorn.error": {**ours, "level": "INFO"},
            # The middleware tells the same of every request, with its ids and without its query.
            "gunicorn.access": {**ours, "level": "CRITICAL"},
            "uvicorn.access": {**ours, "level": "CRITICAL"},
            "django.request": {**ours, "level": "CRITICAL"},
            # django-structlog tells of failed tasks; what was done is told by who did it.
            "celery.app.trace": {**ours, "level": "CRITICAL"},
            "celery.worker.strategy": {**ours, "level": "WARNING"},
            "celery.beat": {**ours, "level": "WARNING"},
            # At DEBUG they write addresses out, and an endpoint's may hold a secret.
            "urllib3": {**ours, "level": "WARNING"},
            "urllib3.connection": {**ours, "level": "ERROR"},  # of headers that are none, even then
            "botocore": {**ours, "level": "WARNING"},
        },
    }
