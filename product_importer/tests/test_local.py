"""``bin/run`` as a user meets it: start, use, kill, start again, stop."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests

from conftest import wait_for
from product_importer.environment import BASE_DIR
from product_importer.local.postgres import Postgres
from product_importer.local.processes import free_port

OURS = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "STATIC_ROOT", "DATA_DIR")


class Run:
    """One start of ``bin/run`` with its output."""

    def __init__(self, folder: Path, port: int) -> None:
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
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.geteuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    runs: list[Run] = []

    def begin(port: int) -> Run:
        runs.append(Run(tmp_path / "data", port))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.send_signal(signal.SIGTERM)
            run.process.wait(60)


def test_a_start_a_crash_a_second_start_and_a_clean_stop(
    start: Callable[..., Run], tmp_path: Path
) -> None:
    port = free_port(0)
    first = start(port)
    address = first.wait_until_ready()
    assert address.endswith(f":{port}")
    assert re.search(r"^User: admin   Password: \S{16}   \(shown only now\)$", first.text(), re.M)
    wait_for(lambda: requests.get(f"{address}/readyz", timeout=5).ok)

    file = tmp_path / "products.csv"
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
    for process in everything:
        process.kill()
    first.process.wait(10)
    psutil.wait_procs(everything, timeout=300)

    second = start(port)
    address = second.wait_until_ready()
    assert "Password" not in second.text()
    products = requests.get(f"{address}/api/v1/products/", headers=headers, timeout=300).json()
    assert products["count"] == 1

    third = start(port)  # a second one on the same data says so, and harms nothing
    assert third.process.wait(30) == 1
    assert "runs already" in third.text()

    everything = second.tree()
    assert len(everything) >= 8
    socket = Postgres(tmp_path / "data").socket
    assert socket.is_dir()
    second.process.send_signal(signal.SIGTERM)
    assert second.process.wait(30) == 0
    _, alive = psutil.wait_procs(everything, timeout=5)
    assert alive == []
    assert not socket.exists()


def test_a_killed_supervisor_takes_everything_with_it(start: Callable[..., Run]) -> None:
    if sys.platform != "linux":
        pytest.skip("only Linux ends children with their parent; the next start ends them here")
    run = start(free_port(0))
    run.wait_until_ready()
    children = run.tree()[1:]
    run.process.kill()
    run.process.wait(10)
    _, alive = psutil.wait_procs(children, timeout=300)
    assert alive == []


def test_another_port_is_taken_where_the_usual_one_is_taken(start: Callable[..., Run]) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        address = start(port).wait_until_ready()
        assert not address.endswith(f":{port}")
        assert requests.get(f"{address}/healthz", timeout=5).text == "ok"
