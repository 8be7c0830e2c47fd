"""Clients that ask for much and read nothing of it, and what others are answered meanwhile."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit

import requests

from benchmarks.running import PASSWORD, Client, sql
from benchmarks.stalled_clients import stalled
from product_importer.local.stack import Stack

NAME = "stalled"
# How long others ask: longer than a request waits for a connection of the pool, at most for so
# long if they wait for what never comes.
OTHERS_SECONDS = 15.0
MOST_SECONDS = 90.0

# How many ask for each; {job} has more refused records than the sockets in between take.
PATHS = {"imports/{job}/rejects.csv": 60, "products/export.csv": 26, "products/?page_size=1000": 40}
REFUSED = """
INSERT INTO imports_rowerror (job_id, line, "column", code, message, record, while_applying)
SELECT %(job)s, line, 'price', 'not_a_number', 'Write a number.',
       jsonb_build_array('SKU', repeat('name ', 50), repeat('text ', 200), 'free', 'true'), false
FROM generate_series(1, 5000) AS line
"""
OTHER_JOB = 1_000_000  # beside the one that is looked at
JOB = """
INSERT INTO imports_importjob
SELECT (jsonb_populate_record(
    job, jsonb_build_object('id', %(other)s, 'status', 'failed', 'change_set_id', NULL)
)).*
FROM imports_importjob AS job WHERE id = %(job)s
"""


def token(stack: Stack) -> str:
    """An API token of a user who does nothing else."""
    stack.manage("make_admin", NAME, environ={"ADMIN_PASSWORD": PASSWORD})
    return stack.manage("api_token", NAME).strip()


def refused_job(stack: Stack, job_id: int) -> int:
    """A job that ended, made of this one, with many refused records; its id."""
    sql(stack, JOB, {"job": job_id, "other": OTHER_JOB})
    sql(stack, REFUSED, {"job": OTHER_JOB})
    return OTHER_JOB


@contextmanager
def stalled_clients(base: str, token: str, job_id: int) -> Iterator[None]:
    """Clients that have asked for all of ``PATHS``, and are there until the end."""
    port = urlsplit(base).port or 80
    with ExitStack() as sockets:
        for path, number in PATHS.items():
            for _ in range(number):
                address = f"/api/v1/{path.format(job=job_id)}"
                sockets.enter_context(stalled(port, address, token))
        yield


def ask(client: Client, until: Callable[[], bool]) -> Counter[str]:
    """Ask for pages of the API until a condition holds, and count the answers by their kind."""
    answers: Counter[str] = Counter()
    started = time.monotonic()
    while (asked := time.monotonic() - started) < OTHERS_SECONDS or not until():
        if asked > MOST_SECONDS:
            break
        for path in ("products/?page_size=10", "imports/", "change-sets/"):
            try:
                # A connection of its own for each, so that every web process is asked.
                answer = client.session.get(
                    f"{client.base}/api/v1/{path}", headers={"Connection": "close"}, timeout=30
                )
                answers[f"{answer.status_code}"] += 1
            except requests.RequestException as error:
                answers[type(error).__name__] += 1
        time.sleep(0.1)
    return answers
