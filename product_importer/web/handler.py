"""Django's handler for ASGI, with all that a request passes in the request's own thread."""

from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIHandler


class Handler(ASGIHandler):
    """Goes from the event loop to the request's thread once, and not some fifteen times.

    Every view is synchronous, and so is all that is around it. Where the handler is asynchronous,
    Django takes each half of a middleware to the thread for itself, and back: two thirds of what a
    request costs that does nothing. A stream is drawn in the event loop all the same, when its
    response has come back from here.
    """

    _middleware_chain: Any

    def load_middleware(self, is_async: bool = False) -> None:
        super().load_middleware(is_async=False)
        self._middleware_chain = sync_to_async(self._middleware_chain, thread_sensitive=True)
