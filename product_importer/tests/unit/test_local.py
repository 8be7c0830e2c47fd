"""``bin/run`` as a user meets it: start, use, kill, start again, stop."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg
import pytest
import requests

from conftest import answers_well, open_folder, wait_for
from product_importer.environment import BASE_DIR
from product_importer.local import prepared, supervisor
from product_importer.local.postgres import Postgres
from product_importer.local.processes import (
    end,
    end_leftovers,
    free_port,
    kill,
    remember,
    runs,
    spawn,
)
from product_importer.local.stack import Stack

OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "STATIC_ROOT", "DATA_DIR")


class Run:
    """One start of ``bin/run`` with its output."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.base = f"http://127.0.0.1:{port}"
        self.output = folder.parent / f"output-{os.urandom(4).hex()}"
        environ = {name: value for name, value in os.environ.items() if name not in OURS}
        self.environ = {**environ, "DATA_DIR": str(folder), "PORT": str(port)}
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [BASE_DIR / "bin" / "run"], env=self.environ, stdout=output, stderr=output
            )

    def text(self) -> str:
        return self.output.read_text()

    def wait_until_ready(self) -> str:
        def ready() -> re.Match[str] | None:
            assert self.process.poll() is None, self.text()
            return re.search(r"^Ready: (http://localhost:\d+)$", self.text(), re.M)

        return str(wait_for(ready).group(1))

    def tree(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def part(self, program: str) -> psutil.Process | None:
        """The child with this word in its command, if it runs."""
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # it has ended meanwhile
                if program in " ".join(child.cmdline()):
                    return child
        return None

    def wait_for_another(self, than: psutil.Process, program: str) -> psutil.Process:
        """Wait until this program runs in another process than before."""
        found: psutil.Process = wait_for(
            lambda: (part := self.part(program)) != than and part, seconds=600
        )
        return found

    def wait_until_whole(self) -> None:
        """Wait until everything answers, which it does by itself."""

        def whole() -> bool:
            assert self.process.poll() is None, self.text()
            return answers_well(f"{self.base}/readyz")

        wait_for(whole, seconds=600)

    def left(self) -> list[psutil.Process]:
        """Whatever works on the data folder, as child of this start or of nobody."""
        found = Postgres(self.folder).processes()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("DATA_DIR") == str(self.folder):
                    found.append(process)
        return found

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=BASE_DIR,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as made:
        yield made


def make_prepared(data: Path) -> None:
    """A data folder as an earlier start has left it, of which only the first test needs none."""
    data.mkdir()
    postgres = Postgres(data, like=prepared.migrated_database())
    try:
        postgres.start()
    finally:
        postgres.stop()
    shutil.copytree(prepared.static_files(), data / "static")
    (data / "static-collected").touch()


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(port: int) -> Run:
        runs.append(Run(folder / "data", port))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
            run.process.wait(300)


def test_a_start_a_crash_a_second_start_and_a_clean_stop(
    start: Callable[..., Run], folder: Path
) -> None:
    port = free_port(0)
    first = start(port)
    address = first.wait_until_ready()
    assert address.endswith(f":{port}")
    assert re.search(r"^User: admin   Password: \S{16}   \(shown only now\)$", first.text(), re.M)
    wait_for(lambda: answers_well(f"{address}/readyz"))

    file = folder / "products.csv"
    file.write_text("sku,name,price\nA-1,Lamp,1.00\nA-2,Chair,free\n")
    done = first.manage("import_products", str(file), "--user", "admin")
    assert done.returncode == 0, done.stderr
    assert re.search(r"created +1\b", done.stdout)
    assert "line 3, price" in done.stderr
    file.write_text("no,header\n1,2\n")
    done = first.manage("import_products", str(file))
    assert done.returncode == 1
    assert "no SKU column" in done.stderr
    token = first.manage("api_token", "admin").stdout.strip()
    headers = {"Authorization": f"Token {token}"}
    products = requests.get(f"{address}/api/v1/products/", headers=headers, timeout=300).json()
    assert products["count"] == 1

    everything = first.tree()
    kill(everything)
    first.process.wait(300)
    psutil.wait_procs(everything, timeout=300)

    second = start(port)
    address = second.wait_until_ready()
    assert "Password" not in second.text()
    products = requests.get(f"{address}/api/v1/products/", headers=headers, timeout=300).json()
    assert products["count"] == 1

    third = start(port)  # a second one on the same data says so, and harms nothing
    assert third.process.wait(300) == 1
    assert "runs already" in third.text()

    everything = second.tree()
    assert len(everything) >= 8
    socket = Postgres(folder / "data").socket
    assert socket.is_dir()
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(300) == 0
    _, alive = psutil.wait_procs(everything, timeout=300)
    assert alive == []
    assert not socket.exists()


def test_a_killed_supervisor_takes_everything_with_it(
    start: Callable[..., Run], folder: Path
) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends children with their parent; the next start ends them here")
    make_prepared(folder / "data")
    run = start(free_port(0))
    run.wait_until_ready()
    children = run.tree()[1:]
    run.process.kill()
    run.process.wait(300)
    _, alive = psutil.wait_procs(children, timeout=300)
    assert alive == []


def test_another_port_is_taken_where_the_usual_one_is_taken(
    start: Callable[..., Run], folder: Path
) -> None:
    import socket

    make_prepared(folder / "data")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        address = start(port).wait_until_ready()
        assert not address.endswith(f":{port}")
        assert requests.get(f"{address}/healthz", timeout=300).text == "ok"


# --- Parts of it die ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def running() -> Iterator[Run]:
    """One start for the tests that kill parts of it."""
    with open_folder() as folder:
        make_prepared(folder / "data")
        run = Run(folder / "data", free_port(0))
        try:
            run.wait_until_ready()
            yield run
        finally:
            run.process.terminate()
            run.process.wait(300)


def test_when_the_web_servers_master_is_killed_its_processes_give_way_to_new_ones(
    running: Run,
) -> None:
    running.wait_until_whole()
    master = running.part("gunicorn")
    assert master is not None
    served = wait_for(master.children)
    master.kill()
    master = running.wait_for_another(master, "gunicorn")
    assert not any(map(runs, served))
    wait_for(master.children)
    running.wait_until_whole()
    assert "web ended with signal 9" in running.text()


# Computes without a look at anything around it, which is where a server's death would be seen.
BUSY = "SELECT count(*) FROM (SELECT generate_series(1, 1000000000000)) AS numbers"


def test_a_database_that_is_killed_at_work_and_again_while_it_recovers_comes_back(
    running: Run,
) -> None:
    running.wait_until_whole()
    server = running.part("postgres")
    assert server is not None
    with psycopg.connect(Postgres(running.folder).url()) as session:

        def work() -> None:
            with suppress(psycopg.OperationalError):  # the server was killed
                session.execute(BUSY)

        thread = threading.Thread(target=work)
        busy = psutil.Process(session.info.backend_pid)
        before = busy.cpu_times().user
        thread.start()
        wait_for(lambda: busy.cpu_times().user > before + 0.2)
        server.kill()
        server = running.wait_for_another(server, "postgres")
        assert not runs(busy)
        thread.join()
    server.kill()
    server = running.wait_for_another(server, "postgres")
    running.wait_until_whole()
    assert server == running.part("postgres")
    assert re.search(r"^PostgreSQL left processes: \d+; waiting", running.text(), re.M)


def test_when_all_parts_are_killed_again_and_again_only_a_stop_ends_it_and_leaves_nothing(
    running: Run,
) -> None:
    running.wait_until_whole()
    for _ in range(3):
        parts = wait_for(psutil.Process(running.process.pid).children)
        kill(parts)
        psutil.wait_procs(parts, timeout=300)
    running.wait_until_whole()
    kill(psutil.Process(running.process.pid).children())
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(300) == 0
    wait_for(lambda: not running.left())


def test_a_part_that_cannot_start_is_tried_for_ever_after_waits_of_up_to_30_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    clock = SimpleNamespace(monotonic=lambda: now)
    monkeypatch.setattr(supervisor, "time", clock)
    ended = spawn([sys.executable, "-c", "raise SystemExit(3)"], log=tmp_path / "log")
    ended.wait(300)
    starts: list[float] = []

    def start() -> None:
        starts.append(now)
        raise OSError("No space left on device")

    part = supervisor.Part("web", tmp_path / "log", child=lambda: ended, start=start)
    while now < 600:
        part.look_after()
        now += 1
    waits = [later - sooner for sooner, later in itertools.pairwise(starts)]
    assert starts[0] == 0
    assert waits[:6] == [1, 2, 4, 8, 16, 30]
    assert set(waits[6:]) == {30}


def test_a_worker_that_ends_at_the_first_start_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_CONCURRENCY", "many")
    stack = Stack(tmp_path, port=0)
    stack.start_worker()
    stack.processes["worker"].wait(300)
    with pytest.raises(RuntimeError, match=r"worker did not start(.|\n)*'many'"):
        stack.check_started()


def test_the_next_start_ends_what_a_killed_part_of_a_killed_start_has_left(tmp_path: Path) -> None:
    def leave(folder: Path) -> psutil.Process:
        environ = {**os.environ, "DATA_DIR": str(folder)}
        parent = spawn(["sh", "-c", "sleep 1000 & wait"], log=tmp_path / "log", environ=environ)
        [left] = wait_for(psutil.Process(parent.pid).children)
        parents.append(parent)
        return left  # type: ignore[no-any-return]

    parents: list[subprocess.Popen[bytes]] = []
    ours, anothers = leave(tmp_path), leave(tmp_path / "another")
    try:
        remember(parents, tmp_path / "processes")
        for parent in parents:
            parent.kill()
            parent.wait(300)
        end_leftovers(tmp_path / "processes")
        assert not runs(ours)
        assert runs(anothers)
    finally:
        end([ours, anothers])


def test_a_first_start_that_was_killed_halfway_is_made_good_by_the_next(folder: Path) -> None:
    folder /= "data"
    folder.mkdir()
    code = "import sys, pathlib; from product_importer.local.postgres import Postgres;"
    code += "Postgres(pathlib.Path(sys.argv[1])).start()"
    first = subprocess.Popen([sys.executable, "-c", code, folder], cwd=BASE_DIR)
    wait_for(lambda: [*Postgres(folder).data.parent.glob("postgres*/PG_VERSION")])
    kill([psutil.Process(first.pid), *psutil.Process(first.pid).children(recursive=True)])
    first.wait(300)
    postgres = Postgres(folder)
    try:
        postgres.start()
    finally:
        postgres.stop()


def test_a_lock_of_a_database_server_that_is_gone_is_in_nobodys_way(folder: Path) -> None:
    folder /= "data"
    folder.mkdir()
    postgres = Postgres(folder)
    postgres.start()
    postgres.stop()
    # Its number is another program's by now, of the same user.
    other = spawn(["sleep", "1000"], log=folder.parent / "log", user=postgres.user)
    try:
        for left in (f"{other.pid}\n{postgres.data}\n", ""):
            (postgres.data / "postmaster.pid").write_text(left)
            postgres.start()
            postgres.stop()
        assert other.poll() is None
    finally:
        end([psutil.Process(other.pid)])
        other.wait(300)
