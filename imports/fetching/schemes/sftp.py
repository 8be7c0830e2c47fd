"""Files by SFTP: host keys pinned at first use, many reads on their way at once."""

import asyncio
import logging
import posixpath
from collections import deque
from collections.abc import Awaitable
from typing import Any, TypeVar

import asyncssh

from imports.fetching import sockets
from imports.fetching.address import path_of, target_of
from imports.fetching.clock import Clock
from imports.fetching.folder import Listing, begin, iso_date, settle
from imports.fetching.source import Entry, FetchFailed, Known, Source
from imports.fetching.transfer import Transfer, broken, changed

AHEAD = 8 * 1024 * 1024  # bytes that are asked for before they are needed
READ_SIZE = 256 * 1024  # of one read, at most: what OpenSSH answers
CLOSE_SECONDS = 0.5  # for what is broken off to end by itself; else it ends with its connection
WINDOW = 2 * AHEAD  # bytes that SSH lets the server send before we say that we took them
# The fast ones first: with AES in hardware, GCM is three times as fast as ChaCha20.
CIPHERS = (
    *("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"),
    *("aes128-ctr", "aes192-ctr", "aes256-ctr"),
)
# Of the plain kinds only: a certificate's authority would have to be known.
HOST_KEYS = (
    *("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"),
    *("rsa-sha2-512", "rsa-sha2-256"),
)
FILES = (
    asyncssh.FILEXFER_TYPE_REGULAR,
    asyncssh.FILEXFER_TYPE_SYMLINK,
    asyncssh.FILEXFER_TYPE_UNKNOWN,
)
# Its lines of every connection, with names of hosts and users, are for nobody.
logging.getLogger("asyncssh").setLevel(logging.ERROR)

T = TypeVar("T")


def take(source: Source, known: Known, transfer: Transfer) -> bool:
    """Bring the file, or the rest of it, to ``transfer``; ``False``: nothing new."""
    return asyncio.run(_take(source, known, transfer))


async def _take(source: Source, known: Known, transfer: Transfer) -> bool:
    clock = transfer.clock
    pin = _Pin(source.host_key or transfer.host_key)
    connection = await _connect(source, pin, clock)
    transfer.host_key = pin.seen
    try:
        sftp = await _wait(connection.start_sftp_client(path_errors="surrogateescape"), clock)
        return await _take_file(sftp, source, known, transfer)
    except asyncssh.SFTPError as error:
        raise _told(error) from None
    except (asyncssh.Error, OSError):
        raise broken("The connection broke off.") from None
    finally:
        connection.abort()
        await connection.wait_closed()


async def _take_file(
    sftp: asyncssh.SFTPClient, source: Source, known: Known, transfer: Transfer
) -> bool:
    clock = transfer.clock
    path = path_of(source.url)
    if path.endswith("/") or not path:
        listing = await _wait(_listing(sftp, path, transfer), clock)
        path = posixpath.join(path, listing.newest(source.pattern).name)
    entry = await _wait(_entry(sftp, path), clock)
    if entry.is_known(known):
        return False
    if settle(entry, clock) and await _wait(_entry(sftp, path), clock) != entry:
        raise changed()
    begin(entry, transfer)
    await _wait(_read(sftp, path, entry.size, transfer), clock)
    # A file that is still being written has grown in the meantime.
    whole = entry.size in (None, transfer.received)
    if not whole or await _wait(_entry(sftp, path), clock) != entry:
        transfer.forget()
        raise changed()
    transfer.end()
    return True


async def _read(sftp: asyncssh.SFTPClient, path: str, size: int | None, transfer: Transfer) -> None:
    """Write the file from where the transfer is, with ``AHEAD`` bytes on their way to us."""
    most = min(READ_SIZE, sftp.limits.max_read_len)
    ahead = AHEAD if transfer.stop_at is None else transfer.stop_at
    # A size of 0 makes each read one request, which is what the windowing here is of.
    file = await sftp.open(path, "rb", encoding=None, block_size=0)
    reads: deque[asyncio.Task[bytes]] = deque()
    offset = transfer.received
    try:
        while True:
            while (size is None or offset < size) and (offset - transfer.received < ahead):
                wanted = most if size is None else min(most, size - offset)
                reads.append(asyncio.ensure_future(_block(file, offset, wanted)))
                offset += wanted
            if not reads:
                break
            data = await reads.popleft()
            if not data:
                break
            transfer.write(data)
    finally:
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)
    await file.close()


async def _block(file: asyncssh.SFTPClientFile, offset: int, size: int) -> bytes:
    """So many bytes, or all to the end: a server may send fewer than were asked for."""
    data = b""
    while len(data) < size:
        more = await file.read(size - len(data), offset + len(data))
        assert isinstance(more, bytes)  # noqa: S101 (encoding=None)
        if not more:
            break
        data += more
    return data


async def _entry(sftp: asyncssh.SFTPClient, path: str) -> Entry:
    attributes = await sftp.stat(path)
    if attributes.type == asyncssh.FILEXFER_TYPE_DIRECTORY:
        raise FetchFailed(
            "is_folder", "The address is of a folder. Let it end with / to take its newest file."
        )
    return Entry(posixpath.basename(path), attributes.size, iso_date(attributes.mtime))


async def _listing(sftp: asyncssh.SFTPClient, folder: str, transfer: Transfer) -> Listing:
    listing = Listing(transfer)
    async for found in sftp.scandir(folder or "."):
        listing.count()
        attributes = found.attrs
        if attributes.type in FILES:
            name = str(found.filename)
            listing.add(Entry(name, attributes.size, iso_date(attributes.mtime)))
    return listing


class _Pin(asyncssh.SSHClient):
    """Takes the host key that was seen first, or any for the first time; ``seen`` is the one."""

    def __init__(self, pinned: str) -> None:
        self.pinned = pinned.strip()
        self.seen = ""

    def validate_host_public_key(
        self, host: str, addr: str, port: int, key: asyncssh.SSHKey
    ) -> bool:
        self.seen = " ".join(key.export_public_key().decode().split()[:2])
        return not self.pinned or self.seen == self.pinned

    def algorithms(self) -> tuple[str, ...]:
        """Of a server that has several host keys, the pinned one is asked for first.

        One that has only others shows one of them: it could else end the connection before its
        answer was read, and nobody would know why.
        """
        kind = self.pinned.partition(" ")[0]
        if not kind:
            return HOST_KEYS
        first = HOST_KEYS[-2:] if kind == "ssh-rsa" else (kind,)
        return (*first, *(other for other in HOST_KEYS if other not in first))


async def _connect(source: Source, pin: _Pin, clock: Clock) -> asyncssh.SSHClientConnection:
    """A connection that is logged in. Raises ``FetchFailed``."""
    target = target_of(source.url, clock.limits)
    clock.restart()
    keys = [_private_key(source)] if source.private_key else None
    sock = sockets.connect(target.host, target.port, clock, sockets.CountedSocket)
    sock.setblocking(False)
    options: dict[str, Any] = {
        "username": source.username or "anonymous",
        "password": None if keys else source.password or None,
        "client_keys": keys,
        "known_hosts": lambda *_: ([],) * 7,  # none: the pin decides
        "client_factory": lambda: pin,
        "server_host_key_algs": pin.algorithms(),
        "encryption_algs": CIPHERS,
        "compression_algs": ["none"],
        # Nothing of the machine's own: its configuration, keys, agent, tickets.
        **{"config": None, "agent_path": None, "gss_host": None},
        "window": WINDOW,
    }
    connection: asyncssh.SSHClientConnection | None = None
    try:
        options["login_timeout"] = clock.connecting()
        connecting = asyncssh.connect(target.host, target.port, sock=sock, **options)
        connection = await _wait(connecting, clock)
        return connection
    except (asyncssh.Error, OSError, ValueError) as error:
        failure = _not_connected(error, source, pin)
        if failure.temporary:
            clock.connecting()  # it took too long rather
        raise failure from None
    finally:
        if connection is None:
            sock.close()  # the time may have been up before asyncssh had it


def _private_key(source: Source) -> asyncssh.SSHKey:
    try:
        return asyncssh.import_private_key(source.private_key, source.password)
    except asyncssh.KeyEncryptionError:
        raise FetchFailed(
            "private_key_invalid", "The private key needs its passphrase, in place of a password."
        ) from None
    except (asyncssh.KeyImportError, ValueError):
        raise FetchFailed(
            "private_key_invalid",
            "The private key cannot be read: paste it whole, from BEGIN to END.",
        ) from None


def _not_connected(error: Exception, source: Source, pin: _Pin) -> FetchFailed:
    other = pin.seen != pin.pinned if pin.seen else isinstance(error, asyncssh.KeyExchangeFailed)
    if pin.pinned and other:
        return FetchFailed(
            "host_key_changed",
            "The server shows another host key than before: it was set up anew, or this is "
            "another server. Ask the supplier, and confirm the new key.",
        )
    if isinstance(error, asyncssh.PermissionDenied):
        if not source.password and not source.private_key:
            return FetchFailed("password_needed", "The server asks for a password or a key.")
        what = "private key" if source.private_key else "password"
        return FetchFailed("wrong_password", f"The server refuses the user name or {what}.")
    if isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.HostKeyNotVerifiable):
        return FetchFailed(
            "ssh_failed", "The server offers only kinds of encryption or keys that are too old."
        )
    if isinstance(error, asyncssh.ProtocolError):
        return FetchFailed("bad_response", "The answer is not SSH.", temporary=True)
    return broken("The server closed the connection before the log-in was complete.")


def _told(error: asyncssh.SFTPError) -> FetchFailed:
    if isinstance(error, asyncssh.SFTPNoSuchFile | asyncssh.SFTPNoSuchPath):
        return FetchFailed("not_found", "There is no file at this address.", temporary=True)
    if isinstance(error, asyncssh.SFTPPermissionDenied):
        return FetchFailed("forbidden", "The server does not let this user read the file.")
    if isinstance(error, asyncssh.SFTPConnectionLost | asyncssh.SFTPNoConnection):
        return broken("The connection broke off.")
    return FetchFailed("server_error", "The server could not read the file.", temporary=True)


async def _wait(work: Awaitable[T], clock: Clock) -> T:
    """The result of work whose waits look at the clock."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=clock.pause())
            clock.check()
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            # Of a listing, its end asks the server to close it, who may answer as little as before.
            await asyncio.wait({task}, timeout=CLOSE_SECONDS)
