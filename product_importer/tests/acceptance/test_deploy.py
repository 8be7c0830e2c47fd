"""The product as a platform runs it: TLS to the stores, the Procfile's lines, SIGTERM."""

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest
import requests

from product_importer.environment import BASE_DIR
from product_importer.local.processes import wait_until
from product_importer.tests.hosting import (
    GRACE_SECONDS,
    HOST,
    PROCFILE,
    WAIT_SECONDS,
    Hosting,
    assert_whole,
    products_csv,
)


def test_the_lines_of_the_procfile_serve_an_import_behind_tls(hosting: Hosting) -> None:
    hosting.begin_web()
    hosting.begin_worker()
    hosting.begin("beat")
    with hosting.api() as api:
        # The worker's mark comes over TLS as well.
        wait_until(
            lambda: api.get(f"{hosting.base}/readyz", timeout=300).ok,
            seconds=WAIT_SECONDS,
            what="it is ready",
        )
        page = api.get(f"{hosting.base}/login/", timeout=300)
        assert page.headers["Strict-Transport-Security"].startswith("max-age=31536000")
        style = page.text.split('href="/static/', 1)[1].split('"', 1)[0]
        assert api.get(f"{hosting.base}/static/{style}", timeout=300).ok
        plain = requests.get(
            f"{hosting.base}/login/", headers={"Host": HOST}, allow_redirects=False, timeout=300
        )
        assert (plain.status_code, plain.headers["Location"]) == (301, f"https://{HOST}/login/")
    assert_whole(hosting, hosting.upload(products_csv(2000)), 2000)
    # Vacuum and parallel workers of the server's own take none of the connections.
    clients = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'"
    sessions = hosting.query(clients)
    # The smallest plan of Heroku has 20; one is ours.
    assert sessions[0]["count"] - 1 <= 12
    for name in ("beat", "worker", "web"):
        assert hosting.end(name, group=True) < GRACE_SECONDS


ASK_THE_BROKER = """
import django, redis
from django.conf import settings
django.setup()
from product_importer.celery import app
try:
    with redis.Redis.from_url(settings.REDIS_URL, **settings.REDIS_TLS) as client:
        client.ping()
    print("we: ok")
except redis.RedisError as error:
    print("we:", error)
try:
    with app.connection_for_write() as connection:
        connection.ensure_connection(max_retries=1)
    print("celery: ok")
except Exception as error:
    print("celery:", error)
"""


@pytest.mark.parametrize(
    ("settings", "trusted"),
    [
        ({"REDIS_TLS_VERIFY": ""}, False),
        ({"REDIS_TLS_VERIFY": "", "REDIS_TLS_CA": "certificate.pem"}, True),
        ({"REDIS_TLS_VERIFY": "false"}, True),
    ],
    ids=["by default", "its certificate given", "told not to look"],
)
def test_a_broker_that_vouches_for_itself_is_trusted_only_where_we_say_so(
    hosting: Hosting, settings: dict[str, str], trusted: bool
) -> None:
    if "REDIS_TLS_CA" in settings:
        settings = {**settings, "REDIS_TLS_CA": str(hosting.certificate)}
    environ = {"DJANGO_SETTINGS_MODULE": "product_importer.settings", **settings}
    answers = hosting.run(f"python -c '{ASK_THE_BROKER}'", **environ).splitlines()
    if trusted:
        assert answers == ["we: ok", "celery: ok"]
    else:
        assert len(answers) == 2
        assert all("certificate verify failed" in answer for answer in answers)


def test_the_stores_of_this_platform_take_nothing_without_tls(hosting: Hosting) -> None:
    """Or the tests above would prove nothing."""
    url = hosting.environ["DATABASE_URL"]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url, sslmode="disable", connect_timeout=5)
    with psycopg.connect(url, sslmode="require") as connection:
        assert connection.pgconn.ssl_in_use
    # As with any certificate that nobody vouches for, unless it is told whom to trust.
    with pytest.raises(psycopg.OperationalError, match="certificate"):
        psycopg.connect(url, sslmode="verify-full", sslrootcert="system", connect_timeout=5)
    with psycopg.connect(url, sslmode="verify-full", sslrootcert=str(hosting.certificate)):
        pass


# --- SIGTERM --------------------------------------------------------------------------

ROWS = 10_000


def test_a_worker_that_is_told_to_end_hands_its_chunks_back(hosting: Hosting) -> None:
    """In the middle of two chunks, as Heroku does it and as others do.

    Every message that it had is back in the queue, every chunk that it was in the middle of is
    undone, and the next worker goes on.
    """
    hosting.begin_web()
    small = {"IMPORT_CHUNK_ROWS": "500"}
    job_id = hosting.upload(products_csv(ROWS))
    seconds = []
    done = 0
    for group, skus in ((True, ["S-001700", "S-003200"]), (False, ["S-006100", "S-007900"])):
        with hosting.chunks_held(skus):
            hosting.begin_worker(**small)
            wait_until(
                lambda: hosting.held() == 2, seconds=WAIT_SECONDS, what="two chunks are held"
            )
            at_work = messages(hosting)
            seconds.append(hosting.end("worker", group=group))
            after = messages(hosting)
        assert after["unacked"] == 0
        assert after["celery"] == at_work["celery"] + at_work["unacked"]
        [found] = hosting.query(
            "SELECT count(*) FROM imports_importchunk WHERE done_at IS NOT NULL"
        )
        assert done < found["count"] < ROWS / 500 - 1  # it got on, and was in the middle
        done = found["count"]
        assert hosting.job(job_id)["status"] == "processing"
    hosting.begin_worker(**small)
    hosting.begin("beat")
    assert_whole(hosting, job_id, ROWS)
    print("seconds from SIGTERM until the worker was gone:", seconds)
    assert max(seconds) < GRACE_SECONDS / 2


def messages(hosting: Hosting) -> dict[str, int]:
    """How many messages wait, and how many are with a worker (the names are kombu's)."""
    with hosting.valkey.client() as broker:
        return {"celery": int(broker.llen("celery")), "unacked": int(broker.hlen("unacked"))}


def test_web_that_is_told_to_end_ends_streams_and_uploads_in_time(hosting: Hosting) -> None:
    hosting.begin_web()
    job_id = hosting.upload(products_csv(10))
    ended = threading.Event()
    first = threading.Event()

    def follow() -> None:
        with hosting.api() as api:
            url = f"{hosting.base}/api/v1/imports/{job_id}/events/"
            try:
                with api.get(url, stream=True, timeout=300) as stream:
                    for line in stream.iter_lines(chunk_size=1):
                        if line.startswith(b"data:"):
                            first.set()
            except requests.RequestException:
                pass  # cut off: a browser connects again
        ended.set()

    follower = threading.Thread(target=follow)
    follower.start()
    assert first.wait(WAIT_SECONDS)
    with half_an_upload(hosting) as connection:
        seconds = hosting.end("web", group=True)
        assert ended.wait(WAIT_SECONDS)
        follower.join()
        # The sender learns that it did not arrive.
        with suppress(ConnectionResetError):
            assert not connection.recv(1000).startswith(b"HTTP/1.1 2")
    print("seconds from SIGTERM until web was gone:", seconds)
    assert seconds < GRACE_SECONDS / 2
    assert len(hosting.query("SELECT id FROM imports_importjob")) == 1
    hosting.begin_web()
    hosting.upload(products_csv(10))


@contextmanager
def half_an_upload(hosting: Hosting) -> Iterator[socket.socket]:
    """A connection whose request body stays away after the first half."""
    head = (
        f"POST /api/v1/imports/ HTTP/1.1\r\nHost: {HOST}\r\nX-Forwarded-Proto: https\r\n"
        f"Authorization: Token {hosting.token}\r\nContent-Length: 2000000\r\n"
        "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        '--x\r\nContent-Disposition: form-data; name="file"; filename="f.csv"\r\n'
        "Content-Type: text/csv\r\n\r\nsku,name\r\n"
    )
    with socket.create_connection(("127.0.0.1", hosting.port), timeout=300) as connection:
        connection.sendall(head.encode() + b"S-1,Lamp\r\n" * 100_000)
        yield connection


# --- From nothing ---------------------------------------------------------------------


@pytest.fixture
def build(hosting: Hosting, tmp_path: Path) -> Iterator[Path]:
    """What a build of the image sees, alone in a folder, with nothing but a Python."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=BASE_DIR, capture_output=True, check=True).stdout
    folder = tmp_path / "app"
    for name in names.decode().rstrip("\0").split("\0"):
        if (BASE_DIR / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(BASE_DIR / name, folder / name)
    for pattern in (folder / ".dockerignore").read_text().split():
        for found in list(folder.glob(pattern)):
            shutil.rmtree(found) if found.is_dir() else found.unlink()
    before = hosting.code, hosting.environ
    hosting.code = folder
    yield folder
    hosting.code, hosting.environ = before


@pytest.mark.heavy
def test_every_step_of_the_deployment_from_a_clean_folder(hosting: Hosting, build: Path) -> None:
    """Install production's pinned packages, build, check, release, run: as the platforms do."""
    python = build.parent / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", build.parent / "venv"], check=True)
    # As in render.yaml and the Dockerfile; Heroku's buildpack does the same.
    install = ["-m", "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.txt"]
    subprocess.run([python, *install], cwd=build, check=True)
    dockerfile = (build / "Dockerfile").read_text().replace("\\\n", " ")
    [collect] = re.findall(r"^RUN (.*collectstatic.*)$", dockerfile, re.MULTILINE)
    for path, here in (
        ("/venv/bin/python", str(python)),
        ("/tmp/build", str(build.parent / "data")),  # noqa: S108 (the Dockerfile's)
        ("/app/staticfiles", str(build / "staticfiles")),
    ):
        collect = collect.replace(path, here)
    subprocess.run(["sh", "-c", collect], cwd=build, env={"PATH": os.defpath}, check=True)
    assert (build / "staticfiles" / "staticfiles.json").exists()

    hosting.environ = {**hosting.environ, "PATH": f"{python.parent}:{os.defpath}"}
    del hosting.environ["STATIC_ROOT"]  # it is where the build put the files
    checked = hosting.run("python manage.py check --deploy --fail-level WARNING")
    assert "no issues" in checked
    hosting.run(PROCFILE["release"])
    hosting.begin_web()
    hosting.begin_worker()
    hosting.begin("beat")
    assert_whole(hosting, hosting.upload(products_csv(2000)), 2000)
    with hosting.api() as api:
        page = api.get(f"{hosting.base}/login/", timeout=300).text
        style = page.split('href="/static/', 1)[1].split('"', 1)[0]
        assert api.get(f"{hosting.base}/static/{style}", timeout=300).ok
