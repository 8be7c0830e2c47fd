"""The logs: one form for all, ids that lead from an upload to its webhooks, and no secrets."""

import io
import json
import logging
import threading
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import requests
import structlog
from django.conf import settings
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from conftest import PASSWORD, Browserless, wait_for
from product_importer.local.stack import Stack
from product_importer.ops import logging as logs
from product_importer.web.request_middleware import LogRequests
from webhooks.tests.receiver import Receiver, serve

LEAKED = """duplicate key value violates unique constraint "catalog_product_sku_lower_key"
LINE 1: INSERT INTO x VALUES ('OF-A-FILE')
                              ^
DETAIL:  Key (lower(sku))=(of-a-file) already exists.
CONTEXT:  COPY imports_staging_1, line 3: "OF-A-FILE	of two
lines\""""


def written(log: Callable[[], Any], log_format: str = "json") -> str:
    """What these calls write, as the handler of the settings writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    here = threading.get_ident()  # a server that another test has left may log meanwhile
    handler.addFilter(lambda record: record.thread == here)
    handler.setFormatter(logs._formatter(log_format))
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        log()
    finally:
        root.removeHandler(handler)
    return stream.getvalue()


def test_our_events_and_those_of_libraries_have_one_form() -> None:
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        ours = json.loads(written(lambda: structlog.get_logger("ours").warning("done", rows=3)))
        theirs = json.loads(
            written(lambda: logging.getLogger("celery.x").warning("%s rows", 3, extra={"a": 1}))
        )
    assert ours.pop("timestamp").endswith("Z")
    assert theirs.pop("timestamp").endswith("Z")
    same = {"level": "warning", "request_id": "r-1"}
    assert ours == {**same, "event": "done", "rows": 3, "logger": "ours"}
    assert theirs == {**same, "event": "3 rows", "logger": "celery.x"}


def test_on_a_laptop_a_line_is_readable() -> None:
    line = written(lambda: structlog.get_logger("ours").warning("done", rows=3), "plain")
    assert "done" in line
    assert "rows=3" in line
    assert "{" not in line


def test_an_unknown_format_stops_the_start_with_its_name() -> None:
    from product_importer.tests.unit.test_rules_of_the_code import manage

    done = manage("check", LOG_FORMAT="xml")
    assert done.returncode != 0
    assert "LOG_FORMAT is 'xml': write json or plain." in done.stderr


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_what_looks_like_a_secret_is_removed_whoever_logs_it(log_format: str) -> None:
    logger = structlog.get_logger("ours")

    def log() -> None:
        logger.warning("a", token="S3CRET-1", secret="S3CRET-2", set_cookie="S3CRET-3")
        logger.warning("b", address="redis://:S3CRET4@host:1/0")
        logging.getLogger("x").warning("Authorization: Token %s", "S3CRET5S3CRET5S3CRET5")
        logging.getLogger("x").warning("signed with whsec_S3CRET6+/= and %s", "Bearer S3CRET-7")

    text = written(log, log_format)
    assert "S3CRET" not in text
    assert text.count(logs.REMOVED) == 7
    assert "host:1/0" in text


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_an_error_of_the_database_is_told_without_the_values_that_it_was_given(
    log_format: str,
) -> None:
    def log() -> None:
        try:
            try:
                raise ValueError(LEAKED)
            except ValueError as error:
                raise RuntimeError(f"wrapped: {LEAKED}") from error
        except RuntimeError as error:
            structlog.get_logger("ours").exception("broken", error=str(error))
            logging.getLogger("theirs").exception("broken")

    text = written(log, log_format)
    assert "of-a-file" not in text.lower()
    assert "of two" not in text
    assert text.count("RuntimeError: wrapped: duplicate key value violates") == 2
    assert text.count("The above exception was the direct cause") == 2


# --- Requests ---------------------------------------------------------------------------


def logged_request(**options: Any) -> tuple[dict[str, Any], Any]:
    responses = []

    def view(request: HttpRequest) -> HttpResponse:
        return HttpResponse(status=options.get("status", 200))

    request = RequestFactory().get("/products/?q=secret-plan", headers=options.get("headers", {}))
    line = written(lambda: responses.append(LogRequests(view)(request)))
    return json.loads(line), responses[0]


def test_a_request_is_one_line_without_its_query() -> None:
    line, response = logged_request(status=404)
    assert line["event"] == "request_finished"
    assert line["request"] == "GET /products/"
    assert line["code"] == 404
    assert line["duration_ms"] >= 0
    assert uuid.UUID(line["request_id"])
    assert response.headers["X-Request-ID"] == line["request_id"]


@pytest.mark.parametrize(
    ("sent", "taken"), [("deploy-7.check_1", True), ("x" * 65, False), ("a b", False), ("", False)]
)
def test_the_id_of_a_proxy_is_taken_if_it_looks_like_one(sent: str, taken: bool) -> None:
    line, response = logged_request(headers={"X-Request-ID": sent})
    assert (line["request_id"] == sent) == taken
    assert response.headers["X-Request-ID"] == line["request_id"]


@pytest.mark.django_db
@pytest.mark.usefixtures("static_files")
def test_the_line_names_the_user_of_a_page_and_of_the_api(user: User) -> None:
    from knox.models import AuthToken

    client = Client()
    client.force_login(user)
    line = json.loads(written(lambda: client.get("/products/")).splitlines()[-1])
    assert (line["event"], line["user_id"]) == ("request_finished", user.pk)
    _, token = AuthToken.objects.create(user)
    headers = {"Authorization": f"Token {token}"}
    text = written(lambda: Client().get("/api/v1/products/", headers=headers))
    assert json.loads(text.splitlines()[-1])["user_id"] == user.pk
    assert token not in text


@pytest.mark.django_db
def test_a_log_line_is_no_reason_to_ask_who_it_is(
    user: User, django_assert_num_queries: Callable[..., Any]
) -> None:
    client = Client()
    client.force_login(user)
    with django_assert_num_queries(0):
        assert "user_id" not in json.loads(written(lambda: client.get("/healthz")))


def test_a_failed_request_is_one_line_with_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("as it happens")

    monkeypatch.setattr("product_importer.ops.health.HttpResponse", broken)
    client = Client(raise_request_exception=False)
    text = written(lambda: client.get("/healthz", headers={"X-Request-ID": "r-9"}))
    [line] = [line for line in map(json.loads, text.splitlines()) if line.get("request_id")]
    assert (line["event"], line["code"], line["request_id"]) == ("request_failed", 500, "r-9")
    assert "RuntimeError: as it happens" in line["exception"]


# --- The running product ------------------------------------------------------------------


def lines_of(site: Stack, name: str) -> list[dict[str, Any]]:
    """The lines of a process' log."""
    text = site.log_of(name).read_text()
    whole = text[: text.rfind("\n") + 1]  # one may be being written
    # Others that share the product end its processes, and Celery says so in its own way.
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


def found(site: Stack, name: str, event: str, **wanted: Any) -> list[dict[str, Any]]:
    return [line for line in lines_of(site, name) if {**line, "event": event, **wanted} == line]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver, server = serve()
    yield receiver
    server.shutdown()
    server.server_close()


def test_one_id_leads_from_the_upload_through_the_workers_to_the_webhooks(
    site: Stack, api: Browserless, receiver: Receiver
) -> None:
    request_id = f"upload-{uuid.uuid4()}"
    kinds = ["import.completed", "products.changed"]
    endpoint = api.post("/api/v1/webhooks/", json={"url": receiver.url, "events": kinds}).json()
    job = api.post(
        "/api/v1/imports/",
        files={"file": ("p.csv", b"sku,name,price\nOF-THE-FILE-1,OF-THE-FILE-2,x\nA-2,Chair,1\n")},
        headers={"X-Request-ID": request_id},
    )
    assert job.headers["X-Request-ID"] == request_id
    ids = {"request_id": request_id, "job_id": job.json()["id"]}

    deliveries = wait_for(
        lambda: (
            len(done := found(site, "worker", "delivery_attempted", request_id=request_id)) > 1
            and done
        )
    )
    assert {line["endpoint_id"] for line in deliveries} == {endpoint["id"]}
    assert all(line["state"] == "succeeded" and line["delivery_id"] for line in deliveries)
    assert len({line["event_id"] for line in deliveries}) == 2
    # The message that woke the dispatcher came from the import's task: its ids are not theirs.
    assert not any("job_id" in line or "chunk" in line for line in deliveries)
    assert {line["task"] for line in deliveries} == {"webhooks.pump"}

    # What each process tells after it has committed may come behind what that made others do.
    assert wait_for(lambda: found(site, "web", "import_started", **ids))
    request = wait_for(lambda: found(site, "web", "request_finished", request_id=request_id))
    assert [line["request"] for line in request] == ["POST /api/v1/imports/"]
    (read,) = wait_for(lambda: found(site, "worker", "file_read", **ids))
    assert (read["records"], read["rejected"], read["task"]) == (2, 1, "imports.advance")
    (chunk,) = wait_for(lambda: found(site, "worker", "chunk_applied", **ids))
    assert (chunk["chunk"], chunk["attempt"], chunk["created"]) == (1, 1, 1)
    assert chunk["change_set_id"]
    assert chunk["task_id"]
    assert wait_for(lambda: found(site, "worker", "import_ended", **ids, status="completed"))


def has_ended(api: Browserless, job_id: int) -> bool:
    return api.get(f"/api/v1/imports/{job_id}/").json()["status"] in ("completed", "failed")


def test_no_secret_and_nothing_of_a_file_is_in_any_log(
    site: Stack, api: Browserless, receiver: Receiver, user: User
) -> None:
    token = str(api.session.headers["Authorization"]).removeprefix("Token ")
    url = receiver.url + "/path-with-a-KEY-1?key=KEY-2"
    endpoint = api.post("/api/v1/webhooks/", json={"url": url, "events": ["import.failed"]}).json()
    api.post(f"/api/v1/webhooks/{endpoint['id']}/test/")
    wait_for(lambda: receiver.received)
    api.get("/api/v1/products/?q=LOOKED-FOR")
    for content in (b"sku,name\nOF-A-FILE,\nA-1,Lamp\n", b"IN-THE-HEADER;x\n1;2\n", b"\0\xff"):
        job = api.post("/api/v1/imports/", files={"file": ("NAME-OF-FILE.csv", content)}).json()
        wait_for(partial(has_ended, api, job["id"]))

    session = requests.Session()
    login = f"{api.base}/login/"
    session.get(login, timeout=300)
    form = {"username": user.username, "csrfmiddlewaretoken": session.cookies["csrftoken"]}
    for password in ("A-WRONG-PASSWORD", PASSWORD):
        session.post(login, data={**form, "password": password}, timeout=300)
    wait_for(lambda: found(site, "web", "request_finished", user_id=user.pk))

    text = "".join(site.log_of(name).read_text() for name in ("web", "worker", "beat"))
    secrets = [
        *(token, endpoint["secret"], endpoint["secret"].removeprefix("whsec_")),
        *(PASSWORD, "A-WRONG-PASSWORD", session.cookies["sessionid"], form["csrfmiddlewaretoken"]),
        *("KEY-1", "KEY-2", "LOOKED-FOR"),
        *("OF-A-FILE", "OF-THE-FILE", "IN-THE-HEADER", "NAME-OF-FILE"),
        settings.SECRET_KEY,
    ]
    assert [secret for secret in secrets if secret in text] == []
