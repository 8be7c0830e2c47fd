"""What a webhook receiver might answer, from oversight or malice: raw bytes, then it closes."""

from collections.abc import Iterator

RETRY_AFTER = (
    b"Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    b"Fri, 31 Dec 9999 23:59:59 -2359",
    b"Sat, 01 Jan 0001 00:00:00 +2359",
    b"Thu, 99 Foo 2026 99:99:99 GMT",
    b"Thu, 01 Jan 2026 00:00:00 +99999999999999999999",
    b"Mon, 01 Jan 2029 00:00:00 -99999999999999999999",
    b"9" * 60_000,
    b"-1",
    b"1e400",
    b"nan",
    b"\xb2",  # a digit to Unicode
    b"\xff\xfe",
    b"",
)


def _answers() -> Iterator[bytes]:
    for value in RETRY_AFTER:
        yield b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nRetry-After: " + value + b"\r\n\r\n"
        yield b"HTTP/1.1 429 X\r\nContent-Length: 0\r\nRetry-After: " + value + b"\r\n\r\n"
    # Not HTTP
    yield b""
    yield b"\0" * 100
    yield b"SSH-2.0-OpenSSH_9.6\r\n"
    yield b"HTTP/9.9 99999999999999999999 \r\n\r\n"
    yield b"HTTP/1.1 -200 OK\r\n\r\n"
    yield b"HTTP/1.1 \xc2\xb2\xc2\xb2\xc2\xb2 OK\r\n\r\n"
    # Heads that no table can hold, or that are too much
    yield b"HTTP/1.1 999 \xed\xa0\x80\r\nX-\xff: \x00\xed\xa0\x80\r\nno colon\r\n\r\n"
    yield b"HTTP/1.1 500 X\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"
    yield b"HTTP/1.1 500 X\r\n" + b"".join(b"X-%d: x\r\n" % n for n in range(200)) + b"\r\n"
    yield b"HTTP/1.1 100 Continue\r\n\r\n" * 500
    yield b"HTTP/1.1 302 X\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n"
    yield b"HTTP/1.1 503 X\r\nX-\x00\xff: \x00\x01\x85\xed\xa0\x80\r\n\r\n\x00\xff\xed\xa0\x80"
    yield b"HTTP/1.1 503 X\r\nno header\r\n: of no name\r\n folded\r\n\r\n"
    yield b"HTTP/1.1 503 X\r\nSet-Cookie: a=b; expires=" + RETRY_AFTER[0] + b"\r\n\r\n"
    yield b"HTTP/1.1 " + b"9" * 5000 + b" X\r\n\r\n"
    # Bodies that do not keep what their head promises
    for length in (b"-1", b"9" * 5000, b"1e3", b"5, 7"):
        yield b"HTTP/1.1 500 X\r\nContent-Length: " + length + b"\r\n\r\nbody"
    for size in (b"-1", b"F" * 5000, b"x", b"5;" + b"x" * 70_000):
        yield b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n" + size + b"\r\nbody"
    yield b"HTTP/1.1 500 X\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nbody"
    yield b"HTTP/1.1 500 X\r\nContent-Type: text/html; charset=\xff\r\n\r\n\xff\xfe\0\xed\xa0\x80"
    yield b"HTTP/1.1 500 X\r\n\r\n" + b"x" * 400_000


POISON = tuple(_answers())  # whole responses; none of them is a success
