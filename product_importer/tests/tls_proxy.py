"""``python -m product_importer.tests.tls_proxy``: ends TLS before a server that has none.

The embedded PostgreSQL and Valkey are built without TLS; hosting platforms insist on it. This
stands in between, on loopback, with a certificate that it is given. It takes nothing without TLS.
"""

import argparse
import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

# https://www.postgresql.org/docs/current/protocol-message-formats.html: SSLRequest
SSL_REQUEST = struct.pack("!II", 8, 80877103)

Upstream = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _serve(
    client: socket.socket, context: ssl.SSLContext, upstream: Upstream, *, postgres: bool
) -> None:
    loop = asyncio.get_running_loop()
    if postgres:
        if await loop.sock_recv(client, len(SSL_REQUEST)) != SSL_REQUEST:
            client.close()
            return
        await loop.sock_sendall(client, b"S")

    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            up_reader, up_writer = await upstream()
            await asyncio.gather(_copy(reader, up_writer), _copy(up_reader, writer))
        writer.close()

    with suppress(OSError):  # a client that does not trust the certificate, mostly
        await loop.connect_accepted_socket(
            lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader(), join),
            client,
            ssl=context,
        )


async def _run(options: argparse.Namespace) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate)
    target: str = options.target

    async def upstream() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if target.startswith("/"):
            return await asyncio.open_unix_connection(target)
        return await asyncio.open_connection("127.0.0.1", int(target))

    with socket.create_server(("127.0.0.1", options.port), backlog=128) as listener:
        listener.setblocking(False)
        tasks: set[asyncio.Task[None]] = set()
        while True:
            client, _ = await asyncio.get_running_loop().sock_accept(listener)
            client.setblocking(False)
            task = asyncio.create_task(_serve(client, context, upstream, postgres=options.postgres))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--target", required=True, help="a port, or the path of a unix socket")
    parser.add_argument("--certificate", required=True, help="a PEM with key and certificate")
    parser.add_argument("--postgres", action="store_true", help="expect an SSLRequest first")
    asyncio.run(_run(parser.parse_args()))


if __name__ == "__main__":
    main()
