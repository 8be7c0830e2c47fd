"""Large files straight to the bucket, from a real Chromium, with the rules that bucket_cors sets.

The product runs here with a bucket: processes, database and broker's database are its own.
"""

import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import psycopg
import pytest
import requests
from playwright.sync_api import Browser, BrowserContext, Page, Request, Route, expect

from benchmarks.memory import PeakMemory
from conftest import BROWSER_SECONDS, PASSWORD, answers_well, wait_for
from product_importer.environment import BASE_DIR
from product_importer.local.processes import free_port, spawn, stop
from product_importer.local.pytest_plugin import MIGRATED, STACK, with_database, worker_number
from product_importer.local.stack import Stack

MB = 1024**2
PART = 5 * MB
MAKE_USER = f"""
from django.contrib.auth.models import User
from knox.models import AuthToken
print(AuthToken.objects.create(User.objects.create_superuser("mara", password="{PASSWORD}"))[1])
"""


class DirectSite:
    """The product with a bucket, and what a test asks it."""

    def __init__(self, stack: Stack, endpoint: str, token: str) -> None:
        self.stack = stack
        self.endpoint = endpoint
        self.base = f"http://127.0.0.1:{stack.port}"
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = f"Token {token}"
        self.bucket = boto3.resource(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        ).Bucket("uploads")

    def get(self, path: str) -> Any:
        answer = self.session.get(self.base + path, timeout=300)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, data: dict[str, Any]) -> Any:
        answer = self.session.post(self.base + path, json=data, timeout=300)
        assert answer.ok, answer.text
        return answer.json()

    def start_an_upload(self) -> None:
        asked = {"file_name": "begun.csv", "file_size": 1}
        upload = self.post("/api/v1/uploads/", asked)["id"]
        self.post(f"/api/v1/uploads/{upload}/parts/", {"numbers": [1]})

    def unfinished(self) -> set[str]:
        """The uploads that are in parts in the bucket."""
        return {upload.id for upload in self.bucket.multipart_uploads.all()}

    def jobs(self, file_name: str) -> list[dict[str, Any]]:
        found = self.get("/api/v1/imports/")["results"]
        return [job for job in found if job["file_name"] == file_name]

    def imported(self, file_name: str) -> dict[str, Any]:
        """The only job of a file, once it has ended."""

        def ended() -> dict[str, Any] | None:
            jobs = self.jobs(file_name)
            assert len(jobs) == 1
            return jobs[0] if jobs[0]["finished_at"] else None

        return dict(wait_for(ended))


DIRECT_BROKER = 10  # the first of the databases that no process of the tests has


@pytest.fixture(scope="module")
def direct_site(
    pytestconfig: pytest.Config, static_files: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DirectSite]:
    stores = pytestconfig.stash[STACK].environ
    folder = tmp_path_factory.mktemp("direct")
    server = with_database(stores["DATABASE_URL"], "postgres")
    database = f"direct_{os.getpid()}"
    migrated = pytestconfig.stash[MIGRATED]
    moto_port = free_port(0)
    endpoint = f"http://127.0.0.1:{moto_port}"
    stack = Stack(folder, port=free_port(0))
    keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    stack.environ = {
        **stores,
        **keys,
        "DATA_DIR": str(folder),
        "DATABASE_URL": with_database(server, database),
        "REDIS_URL": with_database(stores["REDIS_URL"], DIRECT_BROKER + worker_number()),
        "UPLOADS_BUCKET": "uploads",
        "UPLOADS_PART_SIZE": str(PART),
        "AWS_S3_ENDPOINT_URL": endpoint,
        "AWS_REGION": "us-east-1",
    }
    # moto's answers to browsers of other origins are those of the bucket's rules.
    moto = spawn(
        [BASE_DIR / ".venv" / "bin" / "moto_server", "-H", "127.0.0.1", "-p", str(moto_port)],
        log=folder / "moto.log",
        environ={**os.environ, "MOTO_DISABLE_GLOBAL_CORS": "true"},
    )
    with psycopg.connect(server, autocommit=True) as postgres:
        postgres.execute(f"CREATE DATABASE {database} TEMPLATE {migrated}")
    try:
        token = stack.manage("shell", "-v0", "-c", MAKE_USER).strip()
        stack.start_web(workers=1)
        stack.start_worker("direct-worker", concurrency=1)
        stack.start_beat()
        site = DirectSite(stack, endpoint, token)
        wait_for(lambda: answers_well(endpoint))
        site.bucket.create()
        stack.manage("bucket_cors", site.base)
        stack.wait_for_web()
        wait_for(lambda: answers_well(f"{site.base}/readyz"))
        yield site
    finally:
        stack.stop_processes()
        stop(moto, signal.SIGTERM, seconds=5)
        with psycopg.connect(server, autocommit=True) as postgres:
            postgres.execute(f"DROP DATABASE {database} WITH (FORCE)")


@pytest.fixture
def context(browser: Browser, direct_site: DirectSite) -> Iterator[BrowserContext]:
    made = browser.new_context(base_url=direct_site.base)
    made.set_default_timeout(BROWSER_SECONDS * 1000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """The home page; at the end no page may have had an error in its scripts."""
    faults: list[str] = []
    page = context.new_page()
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto("/")
    page.get_by_label("Username").fill("mara")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("#pi-main")).to_be_visible()
    yield page
    assert faults == []


@pytest.fixture
def make_file(tmp_path: Path) -> Callable[..., Path]:
    """A file of many bytes in few rows, a new one each time."""

    def make(name: str, megabytes: int = 18) -> Path:
        file = tmp_path / name
        with file.open("wb") as out:
            out.write(b"sku,name,description\n")
            for number in range(megabytes * MB // 95_000 + 1):
                sku = f"{name}-{number}".encode()
                out.write(b"%s,Lamp,%s\n" % (sku, b"x" * 95_000))
        return file

    return make


def part_number(url: str) -> int:
    return int(parse_qs(urlsplit(url).query)["partNumber"][0])


def body_size(request: Request) -> int:
    return int(request.all_headers().get("content-length", 0))


def upload_label(page: Page) -> Any:
    return page.locator(".pi-uploads p")


class Held:
    """Requests that the network holds back: those of these parts to the bucket."""

    def __init__(self, page: Page, site: DirectSite, *, from_part: int) -> None:
        self.page, self.pattern = page, re.compile(re.escape(site.endpoint))
        self.from_part = from_part
        page.route(self.pattern, self._take)

    def _take(self, route: Route) -> None:
        if route.request.method == "PUT" and part_number(route.request.url) >= self.from_part:
            return  # neither answered nor refused
        route.continue_()

    def let_go(self) -> None:
        """From now on everything gets through; what was held, the page has given up."""
        self.page.unroute(self.pattern)


def test_a_large_file_never_passes_the_web_process(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path]
) -> None:
    file = make_file("large.csv")
    size = file.stat().st_size
    sent: list[Request] = []
    page.on("requestfinished", lambda request: sent.append(request))
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    expect(page.locator("#job-panel .pi-status").first).to_have_text("Completed", timeout=300_000)
    to_bucket = [r for r in sent if r.url.startswith(direct_site.endpoint) and r.method == "PUT"]
    to_site = [r for r in sent if r.url.startswith(direct_site.base)]
    assert sorted(part_number(r.url) for r in to_bucket) == [1, 2, 3, 4]
    assert sum(body_size(r) for r in to_bucket) == size
    assert {"cookie", "authorization"}.isdisjoint(to_bucket[0].all_headers())
    assert sum(body_size(r) for r in to_site) < 20_000
    job = direct_site.imported("large.csv")
    assert (job["status"], job["file_size"], job["rejected"]) == ("completed", size, 0)
    assert job["created"] == job["total_records"] > 100


def test_a_small_file_takes_the_short_way(
    page: Page, direct_site: DirectSite, tmp_path: Path
) -> None:
    file = tmp_path / "small.csv"
    file.write_text("sku,name\nsmall-1,Lamp\n")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url))
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    assert direct_site.imported("small.csv")["created"] == 1
    assert not [url for url in sent if url.startswith(direct_site.endpoint)]


def test_a_file_that_is_chosen_before_all_scripts_are_there_is_uploaded(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path]
) -> None:
    held: list[Route] = []
    page.route("**/direct*.js", lambda route: held.append(route))
    page.goto("/", wait_until="commit")
    expect(page.locator("#pi-main")).to_be_visible()
    page.set_input_files("#pi-file", make_file("early.csv", 6))
    # The page's requests are heard of while the page is asked something.
    wait_for(lambda: page.evaluate("1") and held)
    assert len(held) == 1
    held[0].continue_()
    page.wait_for_url("**/imports/*/")
    assert direct_site.imported("early.csv")["status"] == "completed"


def test_an_upload_waits_while_there_is_no_connection_and_goes_on(
    page: Page,
    context: BrowserContext,
    direct_site: DirectSite,
    make_file: Callable[..., Path],
) -> None:
    held = Held(page, direct_site, from_part=3)
    page.set_input_files("#pi-file", make_file("offline.csv"))
    expect(upload_label(page)).to_contain_text("uploading, 55 %")
    context.set_offline(True)
    expect(upload_label(page)).to_contain_text("no connection, going on when it is back; 55 %")
    held.let_go()
    context.set_offline(False)
    page.wait_for_url("**/imports/*/")
    assert direct_site.imported("offline.csv")["status"] == "completed"


def test_a_part_that_is_lost_on_its_way_is_sent_again(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path]
) -> None:
    seen: list[int] = []

    def lose(route: Route) -> None:
        if route.request.method == "PUT":
            seen.append(part_number(route.request.url))
            if seen.count(2) == 1 and seen[-1] == 2:
                route.abort()
                return
        route.continue_()

    page.route(re.compile(re.escape(direct_site.endpoint)), lose)
    page.set_input_files("#pi-file", make_file("lossy.csv"))
    page.wait_for_url("**/imports/*/")
    assert sorted(seen) == [1, 2, 2, 3, 4]
    assert direct_site.imported("lossy.csv")["status"] == "completed"


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (403, "the storage answered 403. Choose the file again to try once more."),
        (404, "the storage no longer has what had arrived. Choose the file again"),
    ],
)
def test_a_storage_that_refuses_is_told_within_seconds(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path], status: int, told: str
) -> None:
    def refuse(route: Route) -> None:
        if route.request.method == "PUT":
            route.fulfill(status=status, headers={"Access-Control-Allow-Origin": "*"})
        else:
            route.continue_()

    page.route(re.compile(re.escape(direct_site.endpoint)), refuse)
    file = make_file(f"refused-{status}.csv")
    page.set_input_files("#pi-file", file)
    expect(page.get_by_role("alert")).to_contain_text(told)
    assert direct_site.jobs(file.name) == []
    page.unroute(re.compile(re.escape(direct_site.endpoint)))
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    assert direct_site.imported(file.name)["status"] == "completed"


def test_the_same_file_chosen_after_a_reload_goes_on_where_it_stopped(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path]
) -> None:
    file = make_file("reload.csv")
    held = Held(page, direct_site, from_part=3)
    page.set_input_files("#pi-file", file)
    expect(upload_label(page)).to_contain_text("uploading, 55 %")
    page.reload()
    held.let_go()
    sent: list[int] = []

    def note(request: Request) -> None:
        if request.method == "PUT" and request.url.startswith(direct_site.endpoint):
            sent.append(part_number(request.url))

    page.on("request", note)
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    assert sorted(sent) == [3, 4]
    assert direct_site.imported("reload.csv")["status"] == "completed"
    assert not [k for k in page.evaluate("Object.keys(localStorage)") if k.startswith("pi-upload")]


def test_an_upload_is_cancelled_and_leaves_nothing(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path]
) -> None:
    file = make_file("cancel.csv")
    before = direct_site.unfinished()
    held = Held(page, direct_site, from_part=3)
    page.set_input_files("#pi-file", file)
    expect(upload_label(page)).to_contain_text("uploading, 55 %")
    assert len(direct_site.unfinished() - before) == 1
    page.get_by_role("button", name="Cancel the upload of cancel.csv").click()
    expect(page.get_by_role("alert")).to_contain_text("cancelled. Nothing was imported.")
    assert direct_site.unfinished() == before
    assert direct_site.jobs("cancel.csv") == []
    held.let_go()
    page.set_input_files("#pi-file", file)  # and begins anew
    page.wait_for_url("**/imports/*/")
    assert direct_site.imported("cancel.csv")["status"] == "completed"


def test_a_lost_answer_to_the_last_call_starts_no_second_import(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path]
) -> None:
    answers: list[int] = []

    def lose_the_answer(route: Route) -> None:
        answer = route.fetch()
        answers.append(answer.json()["id"])
        if len(answers) == 1:
            route.abort()
        else:
            route.fulfill(response=answer)

    page.route("**/complete/", lose_the_answer)
    page.set_input_files("#pi-file", make_file("answer.csv"))
    page.wait_for_url("**/imports/*/")
    assert len(answers) == 2
    assert len(set(answers)) == 1
    assert direct_site.imported("answer.csv")["status"] == "completed"


def test_the_same_file_again_is_held_for_review(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path]
) -> None:
    file = make_file("twice.csv", 6)
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    assert direct_site.imported("twice.csv")["status"] == "completed"
    page.goto("/")
    page.set_input_files("#pi-file", file)
    page.wait_for_url("**/imports/*/")
    expect(page.locator("#job-panel .pi-status").first).to_have_text("Waiting for review")
    expect(page.get_by_text("This is the very same file as")).to_be_visible()


def test_a_file_over_the_limit_is_refused_on_the_page(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path]
) -> None:
    page.route(
        "**/api/v1/uploads/",
        lambda route: route.continue_(post_data={"file_name": "a.csv", "file_size": 2**31}),
    )
    page.set_input_files("#pi-file", make_file("limit.csv", 6))
    expect(page.get_by_role("alert")).to_contain_text("at most 1,024 MB are allowed")


@pytest.mark.heavy
@pytest.mark.timeout(900)
def test_a_gigabyte_takes_no_memory_of_the_web_process(
    page: Page, direct_site: DirectSite, make_file: Callable[..., Path]
) -> None:
    file = make_file("gigabyte.csv", 1020)
    direct_site.start_an_upload()  # so that the web process has loaded what it needs for it
    web = direct_site.stack.processes["web"].pid
    with PeakMemory(web) as before:
        page.goto("/")
        wait_for(lambda: before.peak)
    with PeakMemory(web) as during:
        page.set_input_files("#pi-file", file)
        page.wait_for_url("**/imports/*/", timeout=600_000)
    print(f"web: {before.peak / MB:.0f} MB before, {during.peak / MB:.0f} MB at most during")
    assert during.peak - before.peak < 20 * MB
    job = direct_site.jobs("gigabyte.csv")[0]
    stored = [item.size for item in direct_site.bucket.objects.all()]
    assert file.stat().st_size == job["file_size"]
    assert job["file_size"] in stored
    # moto reads all of an object for each range of it: the import would take it minutes.
    direct_site.post(f"/api/v1/imports/{job['id']}/cancel/", {})


@pytest.mark.parametrize("ended_in_parts", [False, True])
def test_a_large_file_is_kept_where_the_session_ended(
    page: Page,
    context: BrowserContext,
    direct_site: DirectSite,
    make_file: Callable[..., Path],
    ended_in_parts: bool,
) -> None:
    """Before its first byte or between its parts: after a log-in elsewhere it goes on."""
    name = f"kept-{ended_in_parts}.csv"
    asked: list[Route] = []

    def stop_the_last(route: Route) -> None:
        asked.append(route)
        if len(asked) != 4:
            route.continue_()

    def last_is_asked_for() -> bool:
        page.wait_for_timeout(50)  # routes are handled while Playwright is asked for something
        return len(asked) == 4

    if ended_in_parts:
        page.route(re.compile(r"/uploads/[^/]+/parts/"), stop_the_last)
    else:
        context.clear_cookies()
    page.set_input_files("#pi-file", make_file(name))
    if ended_in_parts:
        expect(upload_label(page)).to_contain_text("uploading")
        wait_for(last_is_asked_for)
        context.clear_cookies()
        asked[3].continue_()  # without a session: cookies are added when it leaves
    told = page.get_by_role("alert").filter(has_text=f"{name}: you were logged out meanwhile")
    expect(told).to_be_visible()
    assert not direct_site.jobs(name)
    other = context.new_page()
    other.goto("/login/")
    other.get_by_label("Username").fill("mara")
    other.get_by_label("Password").fill(PASSWORD)
    other.keyboard.press("Enter")
    expect(other.locator("#pi-main")).to_be_visible()
    other.close()
    page.get_by_role("button", name="Go on with the upload").click()
    page.wait_for_url("**/imports/*/")
    assert direct_site.imported(name)["status"] == "completed"
