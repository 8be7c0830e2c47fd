"""The Chromium that the browser tests drive: the system's, or Playwright's own."""

import os
import shutil
import subprocess
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_chromium() -> str | None:
    """The path of a system browser (``CHROMIUM``, else the first on the PATH).

    ``None`` lets Playwright take its own.
    """
    return os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


def install_browser() -> None:
    """Install what the browser tests need and this machine lacks.

    That is a browser (as root Debian's, else Playwright's own) and, on a bare Debian, a library
    of Playwright's driver. Raises ``CalledProcessError`` where it cannot be installed.
    """
    can_install = os.geteuid() == 0 and shutil.which("apt-get") is not None
    wanted = [] if find_chromium() else ["chromium"]
    if not _driver_starts():
        if not can_install:
            sys.exit("Playwright's driver does not start. On Debian: apt install libatomic1")
        wanted.append("libatomic1")
    if wanted and can_install:
        environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update", "-qq"], ["install", "-y", "-qq", *wanted]):
            subprocess.run(["apt-get", *command], check=True, env=environ, stdout=sys.stderr)
    if not find_chromium():
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=True)


def _driver_starts() -> bool:
    """Whether Playwright's own Node.js finds its libraries."""
    command = [sys.executable, "-m", "playwright", "--version"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    install_browser()
