"""Files that a web server receives, on their way into the storage."""

import time
from dataclasses import dataclass
from pathlib import Path

LEFTOVER_SECONDS = 300  # without a byte; a received file is moved away within seconds


@dataclass(frozen=True)
class StoredFile:
    """A file that is in the storage already, under ``name``; ``size`` in bytes."""

    name: str
    size: int


def clear_old_uploads(folder: Path) -> list[str]:
    """Delete received files that nobody came for: the server that received them was killed."""
    gone = []
    for file in folder.glob("*.upload*"):
        try:
            if file.stat().st_mtime < time.time() - LEFTOVER_SECONDS:
                file.unlink()
                gone.append(file.name)
        except FileNotFoundError:
            continue  # moved into place, or cleared by another process, this very moment
    return gone
