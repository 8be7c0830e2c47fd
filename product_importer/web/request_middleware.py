"""What every request leaves behind: a log line and a place in the metrics, and nothing else."""

import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import structlog
from asgiref.sync import iscoroutinefunction, sync_to_async
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.http import HttpRequest, HttpResponse
from django.utils.decorators import sync_and_async_middleware
from django.utils.functional import LazyObject, empty
from django_prometheus import middleware as prometheus
from django_structlog.middlewares import RequestMiddleware
from structlog.contextvars import bind_contextvars, get_contextvars

from product_importer.common import request_id
from product_importer.common.downloads import give_back_connection

REQUEST_ID = re.compile(rf"[A-Za-z0-9._-]{{1,{request_id.LENGTH}}}")


@sync_and_async_middleware
def release(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    """Give the database connection back before the response is sent; HEAD draws no stream.

    Django gives it back when the last byte was taken, by a client that may take none; and it
    would draw all of a stream for HEAD, of which the server then sends nothing.
    """

    async def answer_async(request: HttpRequest) -> Any:
        response = _without_stream(request, await get_response(request))
        await sync_to_async(give_back_connection)()  # in the request's thread
        return response

    def answer(request: HttpRequest) -> Any:
        response = _without_stream(request, get_response(request))
        give_back_connection()
        return response

    return answer_async if iscoroutinefunction(get_response) else answer


def _without_stream(request: HttpRequest, response: Any) -> Any:
    if request.method == "HEAD" and response.streaming:
        response.streaming_content = _nothing() if response.is_async else ()
    return response


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


class LogRequests(RequestMiddleware):
    """One line for each request, ``request_finished`` or ``request_failed``, and its id.

    The id is that of the header ``X-Request-ID`` where a proxy or a client sends one of letters,
    digits, dots, underscores and hyphens, else a new one; the response tells it.
    """

    def prepare(self, request: HttpRequest) -> None:
        request.log_started = time.perf_counter()  # type: ignore[attr-defined]
        if not REQUEST_ID.fullmatch(request.META.get("HTTP_X_REQUEST_ID", "")):
            request.META.pop("HTTP_X_REQUEST_ID", None)
        super().prepare(request)

    def handle_response(self, request: HttpRequest, response: HttpResponse) -> None:
        response.headers["X-Request-ID"] = get_contextvars().get("request_id", "")
        started: float = request.log_started  # type: ignore[attr-defined]
        milliseconds = round((time.perf_counter() - started) * 1000)
        with structlog.contextvars.bound_contextvars(duration_ms=milliseconds):
            super().handle_response(request, response)

    @staticmethod
    def format_request(request: HttpRequest) -> str:
        """Without the query: what people look for is their own business."""
        return f"{request.method} {request.path}"

    @staticmethod
    def bind_user_id(request: HttpRequest) -> None:
        """The number of the user, if it is known: a log line is no reason to ask the database."""
        user = getattr(request, "user", None)
        if isinstance(user, LazyObject) and user._wrapped is empty:
            return
        if user is not None and user.pk is not None:
            bind_contextvars(user_id=user.pk)


class LoginRequired(LoginRequiredMiddleware):
    """Django's, but a view that needs no login does not have the database asked for the user.

    Or a probe, sent with the cookie of a session, could not tell that the database is away.
    """

    def process_view(
        self, request: HttpRequest, view_func: Any, view_args: Any, view_kwargs: Any
    ) -> Any:
        if not getattr(view_func, "login_required", True):
            return None
        return super().process_view(request, view_func, view_args, view_kwargs)


@sync_and_async_middleware
def keep_nothing(get_response: Callable[[HttpRequest], Any]) -> Callable[..., Any]:
    """Have browsers and proxies store no answer: after a log-out, Back shows nothing private.

    A view that wants its answer stored has no say in it; static files are answered before.
    """

    async def answer_async(request: HttpRequest) -> Any:
        return _not_to_be_stored(await get_response(request))

    def answer(request: HttpRequest) -> Any:
        return _not_to_be_stored(get_response(request))

    return answer_async if iscoroutinefunction(get_response) else answer


def _not_to_be_stored(response: Any) -> Any:
    if "no-store" not in response.headers.get("Cache-Control", ""):
        response.headers["Cache-Control"] = "no-store"
    return response


class _Nothing:
    """A metric that is not kept."""

    def labels(self, **labels: str) -> "_Nothing":
        return self

    def inc(self) -> None:
        return

    def observe(self, value: float) -> None:
        return


class RequestMetrics(prometheus.Metrics):  # type: ignore[misc]
    """Of django-prometheus' twenty, the two that a question is asked of."""

    KEPT = (
        "django_http_requests_latency_seconds_by_view_method",
        "django_http_responses_total_by_status_view_method",
    )

    def register_metric(self, metric_cls: Any, name: str, *args: Any, **options: Any) -> Any:
        if name not in self.KEPT:
            return _Nothing()
        return super().register_metric(metric_cls, name, *args, **options)


class CountRequests(prometheus.PrometheusAfterMiddleware):  # type: ignore[misc]
    """Responses and their seconds, by view and method."""

    metrics_cls = RequestMetrics

    def label_metric(
        self, metric: Any, request: HttpRequest, response: Any = None, **labels: str
    ) -> Any:
        """With one label for all methods that are not HTTP's: strangers may send any."""
        if "method" in labels:
            labels["method"] = self._method(request)
        return super().label_metric(metric, request, response, **labels)

    def process_exception(self, request: HttpRequest, exception: Exception) -> None:
        """Nothing: the response to it is counted, and twice would be once too often."""
