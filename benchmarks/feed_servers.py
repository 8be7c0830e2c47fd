"""``python -m benchmarks.feed_servers FOLDER CERTIFICATE``: suppliers' servers, on their own.

They serve FOLDER by https and by SFTP until the process is ended; their addresses are one line of
JSON on the standard output. ``GET /asked`` tells how often each path was asked for by https.
"""

import argparse
import collections
import contextlib
import json
import random
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from imports.tests.servers import Handler, SftpServer, WebServer, sftp_server, web_server
from product_importer.environment import BASE_DIR

BLOCK = 256 * 1024  # bytes sent at a time
USERNAME, PASSWORD = "shop", "s3cret"
WHOLE = 2**62  # no break at all


@dataclass(frozen=True)
class Servers:
    """The addresses of the running servers, without a slash at their end."""

    https: str
    sftp: str


@contextmanager
def feed_servers(
    folder: Path, certificate: str, *, breaks: int = 0, pace: float = 0.0
) -> Iterator[Servers]:
    """Serve a folder, with this certificate.

    ``breaks``: of so many connections of each kind every other one is reset at a random place;
    ``pace``: seconds before each block is sent.
    """
    command = [sys.executable, "-m", "benchmarks.feed_servers", str(folder), certificate]
    command += ["--breaks", str(breaks), "--pace", str(pace)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=BASE_DIR)
    try:
        assert process.stdout is not None
        yield Servers(**json.loads(process.stdout.readline()))
    finally:
        process.kill()
        process.wait()


@dataclass
class _Faults:
    """When connections of the web server break; shared by its threads."""

    breaks: int
    pace: float
    chance: random.Random

    def place(self, size: int) -> int:
        """After how many bytes the next connection is reset."""
        if self.breaks <= 0:
            return WHOLE
        self.breaks -= 1
        return self.chance.randrange(size) if self.breaks % 2 else WHOLE


def _send(path: Path, faults: _Faults, handler: Handler) -> None:
    """The file from where it is asked for, with an ETag that goes with it."""
    size = path.stat().st_size
    etag = f'"{path.stat().st_mtime_ns}"'
    start, status, more = 0, 200, {"etag": etag, "content_type": "text/csv"}
    span = handler.headers.get("Range")
    if span and handler.headers.get("If-Range") == etag:
        start, status = int(span.removeprefix("bytes=").rstrip("-")), 206
        more["content_range"] = f"bytes {start}-{size - 1}/{size}"
    handler.answer(status, b"", content_length=str(size - start), **more)
    left = faults.place(size)
    with path.open("rb") as file:
        file.seek(start)
        while block := file.read(BLOCK):
            if faults.pace:
                time.sleep(faults.pace)
            handler.wfile.write(block[:left])
            left -= len(block)
            if left <= 0:
                handler.reset()
                return


def _asked(web: WebServer, handler: Handler) -> None:
    counts = collections.Counter(path for path, _ in web.seen if path != "/asked")
    handler.answer(200, json.dumps(counts).encode())


def _serve_web(web: WebServer, folder: Path, faults: _Faults) -> None:
    class Answers(dict[str, Any]):
        """What is in the folder by then."""

        def __contains__(self, path: object) -> bool:
            return path == "/asked" or (folder / str(path).strip("/")).is_file()

        def __missing__(self, path: str) -> Any:
            return partial(_send, folder / path.strip("/"), faults)

    web.answers = Answers()
    web.on("/asked", partial(_asked, web))


def _break_sftp(server: SftpServer, folder: Path, faults: _Faults) -> None:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    server.breaks = [faults.place(min(sizes)) for _ in range(faults.breaks)]
    server.before_read = lambda offset: time.sleep(faults.pace) if faults.pace else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("certificate", help="with its key and chain")
    parser.add_argument("--breaks", type=int, default=0)
    parser.add_argument("--pace", type=float, default=0.0)
    options = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate)
    chance = random.Random(options.breaks)
    with web_server(context) as web, sftp_server(options.folder) as sftp:
        _serve_web(web, options.folder, _Faults(options.breaks, options.pace, chance))
        _break_sftp(sftp, options.folder, _Faults(options.breaks, options.pace, chance))
        print(json.dumps({"https": web.url, "sftp": sftp.url}), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
