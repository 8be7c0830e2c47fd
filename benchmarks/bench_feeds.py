"""``python -m benchmarks feeds``: many feeds at once, large files, fetches that are disturbed."""

import argparse
import asyncio
import collections
import hashlib
import os
import random
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncssh
import psutil
import psycopg
import requests

from benchmarks.feed_servers import BLOCK, PASSWORD, USERNAME, Servers, feed_servers
from benchmarks.memory import PeakMemory
from benchmarks.running import Client, clear, database_version, running_stack, sql
from imports.tests.servers import Authority, make_authority
from product_importer.environment import BASE_DIR
from product_importer.local.processes import free_port, kill, wait_until
from product_importer.local.stack import Stack

PARTS = ("many", "large", "faults")
WORKERS = ("worker", "second")
SELDOM = "on the 1st at 03:00"  # so that no time comes while it is measured
LONG_AGO = 1_700_000_000  # a date of files, so that none looks as if it were being written
THREADS = 16  # that the floor of many small files reads with, as a worker does
# Columns that mean nothing: such an import waits for somebody as soon as its beginning is read.
UNKNOWN = b"alpha,beta\n"

RUNS = """
SELECT feed.url, run.state, run.code, run.message, run.tries, job.status, job.sha256, job.file,
       extract(epoch FROM run.finished_at - coalesce(run.due_at, run.at)),
       (SELECT count(*) FROM imports_importjob AS other WHERE other.feed_id = feed.id),
       (SELECT count(*) FROM imports_feedrun AS other WHERE other.feed_id = feed.id)
FROM imports_feedrun AS run JOIN imports_feed AS feed ON feed.id = run.feed_id
LEFT JOIN imports_importjob AS job ON job.id = run.job_id
"""
UNDER_WAY = """
SELECT (SELECT count(*) FROM imports_feed) - count(*) FILTER (
    WHERE run.state <> 'running' AND coalesce(job.status, '') NOT IN ('pending', 'processing'))
FROM imports_feedrun AS run LEFT JOIN imports_importjob AS job ON job.id = run.job_id
"""
# What waits for its next try has it now, as “Fetch now” would; minutes are saved, and no try.
AT_ONCE = """
UPDATE imports_feedrun SET next_try_at = now() WHERE state = 'running' AND leased_by IS NULL
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--parts", default=",".join(PARTS), help="separated by commas")
    parser.add_argument("--feeds", type=int, default=1000, help="that are due at one moment")
    parser.add_argument("--megabytes", type=int, default=1000, help="of the large file")
    parser.add_argument("--fetches", type=int, default=100, help="that are disturbed")
    parser.add_argument("--dead", type=int, default=4, help="of these, from servers that are gone")
    parser.add_argument("--kills", type=int, default=12, help="of workers, meanwhile")
    parser.add_argument("--seed", type=int, default=1, help="of what is disturbed when")
    parser.add_argument("--folder", type=Path, help="for its data")


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Returns the figures of each part; problems for a file that came twice, not, or otherwise."""
    folder = options.folder or BASE_DIR / ".data-benchmark"
    certificates = folder / "authority"
    certificates.mkdir(parents=True, exist_ok=True)
    authority = make_authority(certificates)
    environ = {
        "BENCHMARK_CA_FILE": authority.ca_file,
        "DJANGO_SETTINGS_MODULE": "benchmarks.feeds_settings",
        "WEBHOOK_ALLOWED_CIDRS": "127.0.0.0/8,::1/128",
    }
    parts = {"many": many, "large": large, "faults": faults}
    told: dict[str, Any] = {}
    with running_stack(folder=folder, environ=environ) as (stack, client):
        stack.start_worker(WORKERS[1])
        bench = Feeds(stack, client, authority)
        for name in options.parts.split(","):
            bench.start_over()
            load = [round(one, 1) for one in os.getloadavg()]
            told[name] = {"load_before": load, **parts[name](bench, options)}
        machine = {"cores": os.cpu_count(), "postgres": database_version(stack)}
    problems = [f"{name}: {text}" for name, part in told.items() for text in part.pop("problems")]
    return {"machine": machine, **told, "problems": problems}


class Feeds:
    """A running stack with two workers, a folder of files that are served, and their digests."""

    def __init__(self, stack: Stack, client: Client, authority: Authority) -> None:
        self.stack = stack
        self.client = client
        self.authority = authority
        self.folder = stack.folder / "served"
        self.supplier = 0
        self.sha256: dict[str, str] = {}  # by name

    def start_over(self) -> None:
        """No feeds and no files; one supplier, without stop rules."""
        clear(self.stack)
        sql(self.stack, "DELETE FROM imports_feedrun; DELETE FROM imports_feed")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        self.sha256 = {}
        rules = ("refused", "missing", "price_change", "price_share", "created", "fewer", "age")
        self.supplier = self.client.make_supplier(**{f"stop_{rule}": None for rule in rules})

    def put(self, name: str, blocks: "collections.abc.Iterable[bytes]") -> None:
        """A file to be served."""
        digest = hashlib.sha256()
        path = self.folder / name
        with path.open("wb") as file:
            for block in blocks:
                file.write(block)
                digest.update(block)
        os.utime(path, (LONG_AGO, LONG_AGO))
        self.sha256[name] = digest.hexdigest()

    def add(self, server: str, name: str) -> int:
        """A feed of a file; its number."""
        login = {"username": USERNAME, "password": PASSWORD} if server.startswith("sftp") else {}
        given = {"supplier": self.supplier, "url": f"{server}/{name}", "schedule": SELDOM}
        return int(self.client.post("feeds/", name=f"{server[:5]} {name}", **given, **login)["id"])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.stack.environ["DATABASE_URL"]) as connection:
            return connection.execute(query).fetchall()

    def wait(self, seconds: float, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Until every feed's run, and what its import does by itself, has come to its end."""

        def over() -> bool:
            meanwhile()
            time.sleep(0.2)
            return self.rows(UNDER_WAY) == [(0,)]

        wait_until(over, seconds=seconds, what="all is fetched")

    def problems(self) -> list[str]:
        """What is neither one job with the right bytes nor a sentence."""
        found = []
        for url, state, code, message, _, _, sha256, file, _, jobs, runs in self.rows(RUNS):
            name = url.rpartition("/")[2]
            if state == "fetched":
                stored = self.stack.folder / "uploads" / file
                wanted = (self.sha256.get(name),) * 2
                right = jobs == 1 and (sha256, _sha256(stored)) == wanted
            else:
                right = state == "failed" and message and jobs == 0
            if not right or runs != 1:
                text = f"{url}: {state} {code}, {jobs} jobs, {runs} runs, {message}"
                found.append(text)
        return found

    def start_workers(self) -> None:
        """Start again what was killed, as a platform does it."""
        for name in WORKERS:
            if self.stack.processes[name].poll() is not None:
                self.stack.start_worker(name)

    def family(self, name: str) -> list[psutil.Process]:
        """A worker and its children."""
        worker = psutil.Process(self.stack.processes[name].pid)
        return [worker, *worker.children(recursive=True)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- Many at one moment -----------------------------------------------------------------


def many(bench: Feeds, options: argparse.Namespace) -> dict[str, Any]:
    """All feeds due at one moment: each fetched once; seconds from that moment to its bytes."""
    names = [f"{number}.csv" for number in range(options.feeds)]
    for number, name in enumerate(names):
        lines = (f"F{number}-{row},Product {row},{row + 1}.00\n" for row in range(20))
        bench.put(name, [b"sku,name,price\n", *(line.encode() for line in lines)])
    with feed_servers(bench.folder, bench.authority.cert_file) as servers:
        floor = _floor_of_many(bench, servers, names)
        for name in names:
            bench.add(servers.https, name)
        sql(bench.stack, "UPDATE imports_feed SET next_run_at = now() + interval '3 seconds'")
        started = time.perf_counter()
        bench.wait(1800)
        imported = time.perf_counter() - started
        asked = requests.get(
            f"{servers.https}/asked", verify=bench.authority.ca_file, timeout=30
        ).json()
    found = bench.rows(RUNS)
    delays = sorted(float(row[8]) for row in found)
    # The floor asked for each once as well.
    twice = [path for path, count in asked.items() if count > 2]
    waiting = collections.Counter(row[5] or row[1] for row in found)
    return {
        "feeds": len(found),
        "floor_seconds": round(floor, 2),
        "delay_seconds": {
            "median": round(statistics.median(delays), 2),
            "p95": round(delays[int(len(delays) * 0.95)], 2),
            "max": round(delays[-1], 2),
        },
        "all_imported_seconds": round(imported, 1),
        "ended_as": dict(waiting),
        "problems": bench.problems()
        + [f"{path} was fetched twice" for path in twice]
        + ["not all were imported" for _ in range(waiting["completed"] != options.feeds)],
    }


def _floor_of_many(bench: Feeds, servers: Servers, names: list[str]) -> float:
    """Seconds to read them all with ``requests``, a connection each, as many at once."""

    def read(name: str) -> int:
        url = f"{servers.https}/{name}"
        return len(requests.get(url, verify=bench.authority.ca_file, timeout=60).content)

    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(read, names))
    return time.perf_counter() - started


# --- One large file ---------------------------------------------------------------------


def large(bench: Feeds, options: argparse.Namespace) -> dict[str, Any]:
    """MB/s of a large file beside a plain read of it, and what the workers grow by meanwhile."""
    line = b"%s,%s\n" % (b"x" * 60, b"y" * 60)
    block = line * 8192
    size = options.megabytes * 1_000_000
    bench.put("small.csv", [UNKNOWN, block])
    bench.put("large.csv", [UNKNOWN, *(block for _ in range(size // len(block)))])
    told: dict[str, Any] = {"megabytes": options.megabytes, "problems": []}
    with feed_servers(bench.folder, bench.authority.cert_file) as servers:
        for kind, server, floor in (
            ("https", servers.https, _floor_of_https),
            ("sftp", servers.sftp, _floor_of_sftp),
        ):
            _fetch(bench, server, "small.csv")  # what is loaded at the first one is there then
            plain = _rate(bench, floor(bench, server))
            with ExitStack() as watching:
                before = _resident(bench)
                pids = [bench.stack.processes[name].pid for name in WORKERS]
                peaks = [watching.enter_context(PeakMemory(pid)) for pid in pids]
                fetched = _rate(bench, _fetch(bench, server, "large.csv"))
            peak = sum(one.peak for one in peaks)
            told[kind] = {
                "mb_per_second": round(fetched, 1),
                "plain_mb_per_second": round(plain, 1),
                "over_plain": round(fetched / plain, 2),
                "workers_before_mb": round(before / 1e6, 1),
                "workers_peak_mb": round(peak / 1e6, 1),
            }
            told["problems"] += bench.problems()
    return told


def _rate(bench: Feeds, seconds: float) -> float:
    return (bench.folder / "large.csv").stat().st_size / 1e6 / seconds


def _resident(bench: Feeds) -> int:
    family = [process for name in WORKERS for process in bench.family(name)]
    return sum(process.memory_info().rss for process in family)


def _fetch(bench: Feeds, server: str, name: str) -> float:
    """Seconds from asking for a run to its import."""
    feed = bench.add(server, name)
    bench.client.post(f"feeds/{feed}/run/")
    bench.wait(900)
    ((seconds,),) = bench.rows(
        f"SELECT extract(epoch FROM finished_at - at) FROM imports_feedrun WHERE feed_id = {feed}"
    )
    return float(seconds)


def _floor_of_https(bench: Feeds, server: str) -> float:
    """Seconds of a plain read into a file."""
    started = time.perf_counter()
    url = f"{server}/large.csv"
    with (
        requests.get(url, verify=bench.authority.ca_file, stream=True, timeout=60) as answer,
        (bench.stack.folder / "plain").open("wb") as file,
    ):
        for block in answer.iter_content(BLOCK):
            file.write(block)
    return time.perf_counter() - started


def _floor_of_sftp(bench: Feeds, server: str) -> float:
    """Seconds of asyncssh's own copying into a file, with its own settings."""

    async def copy() -> None:
        host, port = "127.0.0.1", int(server.rpartition(":")[2])
        login: dict[str, Any] = {"username": USERNAME, "password": PASSWORD, "known_hosts": None}
        async with (
            asyncssh.connect(host, port, config=None, agent_path=None, **login) as connection,
            connection.start_sftp_client() as client,
        ):
            await client.get("/large.csv", str(bench.stack.folder / "plain"))

    started = time.perf_counter()
    asyncio.run(copy())
    return time.perf_counter() - started


# --- Disturbed fetches ------------------------------------------------------------------


def faults(bench: Feeds, options: argparse.Namespace) -> dict[str, Any]:
    """Workers are killed and connections break at random places while files are fetched."""
    chance = random.Random(options.seed)
    living = options.fetches - options.dead
    for number in range(living):
        lines = b"%06d,%s\n" % (number, b"z" * 100)
        bench.put(f"{number}.csv", [UNKNOWN, *([lines * 10_000] * chance.randint(2, 8))])
    certificate = bench.authority.cert_file
    with feed_servers(bench.folder, certificate, breaks=2 * living, pace=0.05) as servers:
        kinds = [servers.https, servers.sftp]
        feeds = [bench.add(kinds[number % 2], f"{number}.csv") for number in range(living)]
        nothing = f"https://localhost:{free_port(8700)}"
        feeds += [bench.add(nothing, f"dead-{number}.csv") for number in range(options.dead)]
        started = time.perf_counter()
        for feed in feeds:
            bench.client.post(f"feeds/{feed}/run/")
        killing = _Killing(bench, chance, options.kills)
        bench.wait(3600, meanwhile=killing.look)
        seconds = time.perf_counter() - started
    found = bench.rows(RUNS)
    return {
        "fetches": len(found),
        "seconds": round(seconds, 1),
        "kills": killing.done,
        "ended_as": dict(collections.Counter(row[2] or row[1] for row in found)),
        "sentences": sorted({row[3] for row in found if row[1] == "failed"}),
        "tries": dict(collections.Counter(row[4] for row in found)),
        "problems": bench.problems(),
    }


class _Killing:
    """kill -9 of a worker, or of one of its processes, now and then while something is fetched."""

    def __init__(self, bench: Feeds, chance: random.Random, kills: int) -> None:
        self.bench = bench
        self.chance = chance
        self.kills = kills
        self.done: dict[str, int] = collections.Counter()
        self._plan()

    def _plan(self) -> None:
        self._next = time.monotonic() + self.chance.uniform(1, 6)

    def look(self) -> None:
        """Kill if it is time; start again what is gone, and try again what waits for that."""
        self.bench.start_workers()
        sql(self.bench.stack, AT_ONCE)
        if time.monotonic() < self._next or sum(self.done.values()) >= self.kills:
            return
        self._plan()
        family = self.bench.family(self.chance.choice(WORKERS))
        whole = self.chance.random() < 0.5
        # One that has just begun has no children yet.
        kill(family if whole else [self.chance.choice(family[1:] or family)])
        self.done["worker" if whole else "child"] += 1
        print("killed", "a worker" if whole else "a child", file=sys.stderr, flush=True)
