"""What a fetch is told and what it tells; plain values, which a database may hold as JSON."""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Called while bytes come, and at least every few seconds while none do: bytes so far, and how
# many there will be (``None``: not told). What it raises ends the fetch and reaches the caller.
Alive = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Source:
    """Where a file is, and what its server asks for.

    ``url``: https, http, ftp, ftps, sftp, s3 (``s3://bucket/key``, with ``?region=`` and
    ``?endpoint=`` where it is not Amazon's default), or a link to a Google Sheet. With sftp,
    ftp and s3, an address that ends with ``/`` is a folder: its newest file is fetched whose
    name fits ``pattern`` (as in a shell: ``prices-*.csv``; blank: any).

    ``username`` and ``password`` are an access key and its secret for s3. ``private_key`` is
    OpenSSH's or PEM's text; ``password`` is then its passphrase, if it has one. ``headers`` are
    sent to the address's own host only. ``host_key`` is the line that was seen first (blank: the
    next one is taken, and told in ``Fetched.host_key``).
    """

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    private_key: str = field(default="", repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    pattern: str = ""
    host_key: str = ""


@dataclass(frozen=True)
class Known:
    """What the last fetch saw; all blank for a first one, or when the address was changed.

    ``size`` is the file's at the server, ``modified`` its date in the server's own writing,
    ``sha256`` that of the bytes which were written, in hexadecimal.
    """

    etag: str = ""
    last_modified: str = ""
    size: int | None = None
    modified: str = ""
    name: str = ""
    sha256: str = ""

    @property
    def changed_at(self) -> datetime | None:
        """When the file was changed last, as its server says; ``None`` where it does not."""
        try:
            if self.modified:
                when = datetime.fromisoformat(self.modified)
            elif self.last_modified:
                when = parsedate_to_datetime(self.last_modified)
            else:
                return None
            # In UTC a year may be none that can be stored, such as 10000.
            return when.astimezone(UTC) if when.tzinfo else when.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class Fetched:
    """A file that is new: ``size`` bytes were written; ``known`` is for the next fetch."""

    name: str
    size: int
    sha256: str
    known: Known
    host_key: str = ""


@dataclass(frozen=True)
class Unchanged:
    """Nothing new. The server may have another version or date for the same bytes: ``known`` has
    it, so that the next fetch need not bring them again.
    """

    known: Known
    host_key: str = ""


@dataclass(frozen=True)
class Entry:
    """A file in a folder; ``modified`` as in ``Known``, to be compared as text."""

    name: str
    size: int | None = None
    modified: str = ""

    def is_known(self, known: Known) -> bool:
        """Whether this is what the last fetch saw; never of a file without a date or a size."""
        told = self.size is not None and bool(self.modified)
        before = (known.name, known.size, known.modified)
        return told and (self.name, self.size, self.modified) == before


@dataclass(frozen=True)
class Found:
    """What is there: ``name`` is what a fetch would take, ``head`` its first bytes.

    ``entries`` are the folder's files, newest first (none for a single file), ``left_out`` is how
    many names were not listed because they hold line breaks or other control characters.
    """

    name: str
    head: bytes
    entries: tuple[Entry, ...] = ()
    left_out: int = 0
    size: int | None = None
    host_key: str = ""


@dataclass(frozen=True)
class Limits:
    """Bounds of one fetch, whatever the server does. Sizes in bytes, times in seconds."""

    bytes: int = 1024**3  # as large as a CSV may be
    seconds: float = 2 * 3600  # all tries together
    connect_seconds: float = 20.0  # look-up, connection and handshake
    slow_seconds: float = 120.0  # in each such stretch of a transfer ...
    slow_bytes: int = 120_000  # ... this much has to come
    ratio: int = 200  # what a content encoding may unpack to, beyond RATIO_FREE
    tries: int = 5
    wait_seconds: float = 2.0  # before the second try; doubled for each further one
    settle_seconds: float = 2.0  # before a file that was changed just now is looked at again
    names: int = 100_000  # of a folder
    listing_seconds: float = 300.0  # in which a folder's names have to be there
    head: int = 256 * 1024  # that ``look`` returns
    allowed: tuple[Network, ...] = ()  # networks that may be called although not public
    ca_file: str | None = None  # authorities beside the public ones


class FetchFailed(Exception):
    """Why there is no file: ``code`` for programs, the text says how to mend it.

    ``temporary``: it may well work at another try.
    """

    def __init__(self, code: str, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.temporary = temporary
        self.retry_after = 0.0  # seconds that the server asks to wait
        self.host_key = ""  # of the server that it happened at, where a log-in was taken
