"""Files by FTP and FTPS: passive, by REST where a connection broke, TLS verified."""

import ftplib
import posixpath
import re
import ssl
from contextlib import closing
from typing import Any

from imports.fetching.address import path_of, target_of
from imports.fetching.folder import Listing, begin, number, settle
from imports.fetching.schemes.ftp_connection import Connection, NoRest, date, not_ftp
from imports.fetching.source import Entry, FetchFailed, Known, Source
from imports.fetching.transfer import BLOCK, Transfer, broken, changed

DATES = 200  # files whose dates are asked for one by one, where a folder does not tell them

_TLS_WANTED = re.compile(r"\b(TLS|SSL|encrypt\w*|secure)\b", re.I)
_FOLDER = re.compile(r"director|not a (plain|regular) file|folder", re.I)
_DENIED = re.compile(r"denied|permission|not allowed|forbidden", re.I)


def take(source: Source, known: Known, transfer: Transfer) -> bool:
    """Bring the file, or the rest of it, to ``transfer``; ``False``: nothing new."""
    target = target_of(source.url, transfer.clock.limits)
    path = path_of(source.url)
    with closing(Connection(target, transfer.clock)) as ftp:
        try:
            ftp.open()
            _log_in(ftp, source)
            ftp.voidcmd("TYPE I")
            if path.endswith("/") or not path:
                path = _newest(ftp, path, source.pattern, transfer)
            return _take_file(ftp, path, known, transfer)
        except NoRest:
            transfer.forget()
            raise broken("The connection broke off, and the server cannot go on there.") from None
        except ftplib.Error as error:
            raise _told(error) from None
        except (EOFError, OSError):
            raise broken("The connection broke off.") from None
        except ValueError:
            raise FetchFailed(
                "login_invalid", "The user name or password contains a line break."
            ) from None


def _take_file(ftp: Connection, path: str, known: Known, transfer: Transfer) -> bool:
    entry = ftp.entry(path)
    if entry.is_known(known):
        return False
    if settle(entry, transfer.clock) and ftp.entry(path) != entry:
        raise changed()
    offset = begin(entry, transfer)
    if entry.size is None or offset < entry.size:
        _read(ftp, path, offset, transfer)
    # A file that is still being written has grown in the meantime.
    whole = entry.size in (None, transfer.received)
    if not whole or ftp.entry(path) != entry:
        transfer.forget()
        raise changed()
    transfer.end()
    return True


def _read(ftp: Connection, path: str, offset: int, transfer: Transfer) -> None:
    """Write the file from ``offset`` on. Raises ``FetchFailed`` when it is cut off."""
    total = transfer.clock.total
    with closing(ftp.transfercmd(f"RETR {path}", offset or None)) as data:
        while block := _receive(data):
            transfer.write(block)
    if total is not None and transfer.received < total:
        raise broken(f"The connection broke off: {transfer.received:,} of {total:,} bytes arrived.")
    ftp.voidresp()


def _receive(data: Any) -> bytes:
    try:
        block: bytes = data.recv(BLOCK)
    except ssl.SSLEOFError:
        # Many servers end without TLS's goodbye. The size, and the answer that follows on the
        # other connection, tell whether it was the end.
        return b""
    return block


def _newest(ftp: Connection, folder: str, pattern: str, transfer: Transfer) -> str:
    """The name of the newest file of a folder that fits; the folder is gone into."""
    if folder:
        ftp.cwd(folder)
    listing = Listing(transfer)
    try:
        _list_with_dates(ftp, listing)
    except ftplib.error_perm as error:
        if str(error)[:3] not in ("500", "501", "502", "504"):
            raise
        _list_names(ftp, listing, pattern)
    return listing.newest(pattern).name


def _list_with_dates(ftp: Connection, listing: Listing) -> None:
    last: Entry | None = None
    for line in ftp.lines("MLSD"):
        facts, space, name = line.partition(" ")
        told = dict(fact.lower().partition("=")[::2] for fact in facts.split(";") if fact)
        if not space or "type" not in told:
            # What follows a line break in the name before, which is none to show then.
            listing.count()
            last = last and Entry(last.name + "\n")
            continue
        if last:
            listing.add(last)
        last = None
        listing.count()
        if told["type"] == "file":
            last = Entry(name, number(told.get("size", "")), date(told.get("modify", "")))
    if last:
        listing.add(last)


def _list_names(ftp: Connection, listing: Listing, pattern: str) -> None:
    """Of an old server, which tells names only, the dates of those that fit are asked for."""
    names: list[str] = []
    try:
        for line in ftp.lines("NLST"):
            listing.count()
            names.append(posixpath.basename(line))
    except ftplib.error_perm as error:
        if str(error)[:3] != "550":  # how some tell that there are none
            raise
    fitting = {name for name in names if name.isprintable() and listing.fits(name, pattern)}
    if len(fitting) > DATES:
        raise FetchFailed(
            "too_many_names",
            f"{len(fitting):,} names fit, and the server tells their dates only one by one. Write "
            f"a pattern that fits at most {DATES}.",
        )
    for name in names:
        listing.add(ftp.entry(name) if name in fitting else Entry(name))


def _log_in(ftp: Connection, source: Source) -> None:
    try:
        ftp.login(source.username or "anonymous", source.password)
    except ftplib.error_perm as error:
        if not ftp.is_secure and _TLS_WANTED.search(str(error)):
            raise FetchFailed(
                "tls_needed",
                "The server wants a secure connection: let the address begin with ftps://.",
            ) from None
        if not source.password:
            raise FetchFailed("password_needed", "The server asks for a password.") from None
        raise FetchFailed(
            "wrong_password", "The server refuses the user name or password."
        ) from None


def _told(error: ftplib.Error) -> FetchFailed:
    text = str(error)
    code = text[:3]
    if isinstance(error, ftplib.error_temp):
        if code == "421":
            return FetchFailed(
                "too_often", "The server takes no more connections for now.", temporary=True
            )
        if code in ("425", "426"):
            return broken("The connection broke off.")
        return FetchFailed(
            "server_error", f"The server has a fault of its own ({code}).", temporary=True
        )
    if not isinstance(error, ftplib.error_perm):
        return not_ftp()
    if code == "530":
        return FetchFailed("forbidden", "The server does not let this user read the file.")
    if code not in ("550", "553"):
        return FetchFailed("bad_response", f"The server refuses the request ({code}).")
    if _FOLDER.search(text) and "no such" not in text.lower():
        return FetchFailed(
            "is_folder", "The address is of a folder. Let it end with / to take its newest file."
        )
    if _DENIED.search(text):
        return FetchFailed("forbidden", "The server does not let this user read the file.")
    return FetchFailed("not_found", "There is no file at this address.", temporary=True)
