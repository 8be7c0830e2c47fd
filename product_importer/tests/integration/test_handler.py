"""How a request comes from the server to its view."""

import asyncio
import threading
from typing import Any

import pytest
from asgiref.sync import SyncToAsync
from asgiref.testing import ApplicationCommunicator
from django.http import HttpRequest, HttpResponse
from django.urls import path

from product_importer.web.handler import Handler

# What is done in the thread of a request.
PASSES_THREADS_FOR = ("its beginning", "its view, and all around it", "its end")


def ask(address: str) -> tuple[int, int]:
    """The status and the number in the body that the handler answers, as a server gets them."""
    scope = {
        **{"type": "http", "http_version": "1.1", "method": "GET", "path": address},
        **{"scheme": "http", "query_string": b"", "headers": [(b"host", b"localhost")]},
    }

    async def exchange() -> tuple[int, int]:
        communicator: Any = ApplicationCommunicator(Handler(), scope)  # type: ignore[no-untyped-call]
        await communicator.send_input({"type": "http.request", "body": b""})
        begun = await communicator.receive_output(300)
        body = await communicator.receive_output(300)
        await communicator.wait(300)
        return begun["status"], int(body["body"])

    return asyncio.run(exchange())


def view(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(threading.get_ident()))


view.login_required = False  # type: ignore[attr-defined]
urlpatterns = [path("thread/", view)]


@pytest.mark.usefixtures("static_files")
@pytest.mark.urls(__name__)
def test_a_request_goes_to_its_thread_once_whatever_is_around_its_view(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[Any] = []
    of = SyncToAsync.__call__

    async def counted(self: Any, *args: Any, **options: Any) -> Any:
        sent.append(self.func)
        return await of(self, *args, **options)

    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    status, thread = ask("/thread/")
    assert status == 200
    assert thread != threading.get_ident()  # the event loop's, which others wait for
    assert len(sent) <= len(PASSES_THREADS_FOR), sent
