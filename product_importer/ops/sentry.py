"""Errors to Sentry. Imported only where ``SENTRY_DSN`` is set: it weighs some megabytes.

What is sent: the error, where in the code, the method and path, the ids that the log lines
carry. What is not: bodies, queries, headers, cookies, values of variables, users, SQL.
"""

from typing import Any

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.django import DjangoIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from structlog.contextvars import get_contextvars

from product_importer.ops.logging import remove_secrets, without_values


def start(*, dsn: str, environment: str, release: str) -> None:
    """Send the errors of this process from here on."""
    sentry_sdk.init(
        dsn=dsn,
        environment=environment or None,
        release=release or None,
        integrations=[
            DjangoIntegration(),
            CeleryIntegration(),
            # An error comes with its trace from Django or Celery, not once more from the log.
            LoggingIntegration(level=None, event_level=None),
        ],
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        send_default_pii=False,
        max_request_body_size="never",
        include_local_variables=False,
        max_breadcrumbs=0,
        before_send=_clean,
    )


def _clean(event: Any, hint: dict[str, Any]) -> Any:
    request = event.get("request")
    if request:
        url = str(request.get("url", "")).partition("?")[0]
        event["request"] = {"method": request.get("method"), "url": url}
    for name in ("user", "breadcrumbs", "extra"):
        event.pop(name, None)
    for value in event.get("exception", {}).get("values", []):
        value["value"] = without_values(str(value.get("value", "")))
    ids = remove_secrets(None, "", dict(get_contextvars()))
    event["tags"] = {**event.get("tags", {}), **{name: str(value) for name, value in ids.items()}}
    return event
