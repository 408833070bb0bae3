"""What SPDY travels on here: a connection upgraded from HTTP/1.1, or the messages of a WebSocket (KEP-4006)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import WSMsgType, web

from controlplane.api.errors import BadRequest, Forbidden
from controlplane.server.spdy_connection import ByteTransport

SPDY = "SPDY/3.1"
PROTOCOL_HEADER = "X-Stream-Protocol-Version"
HEARTBEAT_SECONDS = 30.0
MESSAGE_BOUND = 4 << 20
READ_BYTES = 64 << 10


class Upgraded(web.StreamResponse):
    """What a handler returns after it has used up the connection itself: nothing is left to be sent."""

    async def prepare(self, request: web.BaseRequest) -> None:
        """Nothing: the head went out already."""

    async def write_eof(self, data: Any = b"") -> None:
        """Nothing: the connection is closed."""


def wants(request: web.BaseRequest) -> str:
    """The protocol that the client asks to change to, in lower case; "" for none."""
    return request.headers.get("Upgrade", "").lower()


def offered(request: web.BaseRequest) -> list[str]:
    """The subprotocols that a WebSocket's client names."""
    return [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]


def agreed(request: web.BaseRequest, known: Sequence[str]) -> str:
    """The first protocol of the client's that is known; Forbidden, as upstream has it, when there is none."""
    names = [one.strip() for value in request.headers.getall(PROTOCOL_HEADER, []) for one in value.split(",")]
    for one in names:
        if one in known:
            return one
    raise Forbidden(
        f"unable to upgrade: unable to negotiate protocol: client supports [{' '.join(names)}], "
        f"server accepts [{' '.join(known)}]"
    )


@asynccontextmanager
async def upgraded(request: web.BaseRequest, protocol: str) -> AsyncIterator[ByteTransport]:
    """The connection of `request` as bytes, after 101 was sent; closed at the end."""
    async with taken(request) as client:
        head = f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {SPDY}\r\n"
        await client.write(f"{head}{PROTOCOL_HEADER}: {protocol}\r\n\r\n".encode())
        yield client


@asynccontextmanager
async def taken(request: web.BaseRequest) -> AsyncIterator[ByteTransport]:
    """The connection of `request` as bytes, on which nothing has been answered yet; closed at the end."""
    transport, server = request.transport, request.protocol
    if transport is None:
        raise ConnectionResetError("the client has gone")
    reader = asyncio.StreamReader(READ_BYTES)
    protocol = _Taken(reader)
    # Before the answer: only when he has that does the client send frames.
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    try:
        yield SocketTransport(reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop()))
    finally:
        transport.set_protocol(server)
        if protocol.lost:
            server.connection_lost(None)
        else:
            server.force_close()
            transport.close()


@asynccontextmanager
async def tunnelled(request: web.BaseRequest, protocol: str) -> AsyncIterator[tuple[ByteTransport, web.StreamResponse]]:
    """A WebSocket of `protocol` whose binary messages are one stream of bytes, and the response that it is."""
    names = offered(request)
    if protocol not in names:
        raise BadRequest(f"unable to upgrade: none of the subprotocols {names} is {protocol}")
    socket = web.WebSocketResponse(protocols=(protocol,), heartbeat=HEARTBEAT_SECONDS, max_msg_size=MESSAGE_BOUND)
    await socket.prepare(request)
    try:
        yield _Messages(socket), socket
    finally:
        await socket.close()


class _Taken(asyncio.StreamReaderProtocol):
    """A connection that was the HTTP server's."""

    lost = False

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost = True
        super().connection_lost(exc)


class SocketTransport:
    """The bytes of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """What has come; nothing at the end."""
        try:
            return await self._reader.read(READ_BYTES)
        except ConnectionError:
            return b""

    async def write(self, data: bytes) -> None:
        """Sends, and waits while too much is on its way."""
        self._writer.write(data)
        await self._writer.drain()


class _Messages:
    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket

    async def read(self) -> bytes:
        while True:
            message = await self._socket.receive()
            if message.type is not WSMsgType.BINARY:
                return b""
            if message.data:
                return bytes(message.data)

    async def write(self, data: bytes) -> None:
        await self._socket.send_bytes(data)
