"""The servers and processes of one local start, and their order."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

from product_importer.environment import BASE_DIR
from product_importer.local.postgres import Postgres
from product_importer.local.processes import remember, spawn, stop, wait_until
from product_importer.local.valkey import Valkey

STOP_SECONDS = 15.0


class Stack:
    """What ``bin/run`` and the tests start: stores first, stopped last.

    ``environ`` is what every process of the product gets on top of the real environment.
    """

    def __init__(self, folder: Path, *, port: int) -> None:
        self.folder = folder
        self.port = port
        self.environ: dict[str, str] = {}
        self.postgres: Postgres | None = None
        self.valkey: Valkey | None = None
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start_stores(self, *, redis_port: int = 6379, like: Postgres | None = None) -> None:
        """Start PostgreSQL and Valkey, except where DATABASE_URL or REDIS_URL name others.

        ``like``: a PostgreSQL that is stopped, whose data a new one begins with.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (database_url := os.environ.get("DATABASE_URL", "")):
            self.postgres = Postgres(self.folder, like=like)
            self.postgres.start()
            database_url = self.postgres.url()
        if not (redis_url := os.environ.get("REDIS_URL", "")):
            self.valkey = Valkey(self.folder, password=self.secret("redis"), port=redis_port)
            self.valkey.start()
            redis_url = self.valkey.url
        self.environ = self.settings(database_url=database_url, redis_url=redis_url)
        self._remember()

    def settings(self, *, database_url: str, redis_url: str) -> dict[str, str]:
        """What every process gets: for these stores, a laptop's answer to every setting."""
        return {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "DATA_DIR": str(self.folder),
            "SECRET_KEY": os.environ.get("SECRET_KEY") or self.secret("django"),
            "ALLOWED_HOSTS": os.environ.get("ALLOWED_HOSTS") or "localhost,127.0.0.1,[::1]",
            "HTTPS": os.environ.get("HTTPS") or "false",
            "LOG_FORMAT": os.environ.get("LOG_FORMAT") or "plain",
            "SHARED_DISK": os.environ.get("SHARED_DISK") or "true",
            "STATIC_ROOT": os.environ.get("STATIC_ROOT") or str(self.folder / "static"),
            "DJANGO_SETTINGS_MODULE": "product_importer.settings",
        }

    def secret(self, name: str) -> str:
        """A secret that is made at the first start and kept."""
        file = self.folder / f"secret-{name}"
        if not file.exists():
            file.touch(mode=0o600)
            file.write_text(secrets.token_urlsafe(48))
        return file.read_text()

    def manage(self, *arguments: str, environ: dict[str, str] | None = None) -> str:
        """Run ``manage.py`` and return what it printed; raises ``RuntimeError`` with it."""
        done = subprocess.run(
            [sys.executable, str(BASE_DIR / "manage.py"), *arguments],
            env={**os.environ, **self.environ, **(environ or {})},
            cwd=BASE_DIR,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"manage.py {' '.join(arguments)} failed:\n{done.stderr[-4000:]}")
        return done.stdout

    def start_web(
        self, *, workers: int = 2, config: str = "product_importer.gunicorn_conf"
    ) -> None:
        """``config``: a module with settings of gunicorn."""
        addresses = f"127.0.0.1:{self.port},[::1]:{self.port}" if _has_ipv6() else None
        self._spawn(
            "web",
            ["gunicorn", "-c", f"python:{config}"],
            {
                "BIND": addresses or f"127.0.0.1:{self.port}",
                "WEB_CONCURRENCY": os.environ.get("WEB_CONCURRENCY") or str(workers),
            },
        )

    def start_worker(self, name: str = "worker", *, concurrency: int = 2) -> None:
        self._spawn(
            name,
            [
                "python",
                "-m",
                "product_importer.celery_worker",
                f"--concurrency={os.environ.get('WORKER_CONCURRENCY') or concurrency}",
                f"--name={name}",
            ],
            {},
        )

    def start_beat(self) -> None:
        self._spawn(
            "beat",
            ["celery", "--quiet", "-A", "product_importer", "beat", "--pidfile="],
            {},
        )

    def wait_for_web(self, *, seconds: float = 300) -> None:
        """However slow the machine is: a web server that has ended says so at once."""
        wait_until(self._web_answers, seconds=seconds, what="the web server answers")

    def check_started(self) -> None:
        """Raise ``RuntimeError`` if a process has ended with an error, with the end of its log."""
        for name, child in self.processes.items():
            if (child.poll() or 0) > 0:  # below 0 somebody has killed it
                tail = self.log_of(name).read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{name} did not start. The end of its log:\n{tail}")

    def launch_again(self, store: Postgres | Valkey) -> None:
        """Start a store that has ended, without a wait for its answer."""
        store.launch()
        self._remember()

    def stop(self) -> None:
        """End the processes, then the stores that they use."""
        self.stop_processes()
        if self.valkey:
            self.valkey.stop()
        if self.postgres:
            self.postgres.stop()
        self.pid_file.unlink(missing_ok=True)

    def stop_processes(self) -> None:
        """End web, worker and beat together."""
        for child in self.processes.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.processes.values():
            stop(child, signal.SIGTERM, seconds=STOP_SECONDS)
        self.processes.clear()

    @property
    def pid_file(self) -> Path:
        return self.folder / "processes"

    def log_of(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _spawn(self, name: str, command: list[str], environ: dict[str, str]) -> None:
        program = Path(sys.executable).parent / command[0]
        self.processes[name] = spawn(
            [program, *command[1:]],
            log=self.log_of(name),
            environ={**os.environ, **self.environ, **environ},
            cwd=BASE_DIR,
        )
        self._remember()

    def _remember(self) -> None:
        stores = [s.child for s in (self.postgres, self.valkey) if s and s.child]
        remember([*self.processes.values(), *stores], self.pid_file)

    def _web_answers(self) -> bool:
        child = self.processes["web"]
        if child.poll() is not None:
            tail = self.log_of("web").read_text(errors="replace")[-3000:]
            raise RuntimeError(f"The web server did not start. The end of its log:\n{tail}")
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2):
                return True
        except (urllib.error.URLError, OSError):
            return False


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
