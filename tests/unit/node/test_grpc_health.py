"""gRPC health checks against servers on a socket."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded

from controlplane.node import grpc_health

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Server:
    """A gRPC server: `answer` is its message, None for trailers alone, as for a method that it does not have."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self.headers: dict[bytes, bytes] = {}
        self.message = b""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = H2Connection(H2Configuration(client_side=False, header_encoding=None))
        connection.initiate_connection()
        connection.ping(b"are you?")
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for event in connection.receive_data(data):
                if isinstance(event, RequestReceived):
                    self.headers = dict(event.headers)
                elif isinstance(event, DataReceived):
                    self.message += event.data
                elif isinstance(event, StreamEnded):
                    self._respond(connection, event.stream_id)
            writer.write(connection.data_to_send())
        writer.close()

    def _respond(self, connection: H2Connection, stream: int) -> None:
        first = [(b":status", b"200"), (b"content-type", b"application/grpc")]
        if self._answer is None:
            connection.send_headers(stream, [*first, (b"grpc-status", b"12")], end_stream=True)
            return
        connection.send_headers(stream, first)
        connection.send_data(stream, struct.pack(">BI", 0, len(self._answer)) + self._answer, pad_length=7)
        connection.send_headers(stream, [(b"grpc-status", b"0")], end_stream=True)


@asynccontextmanager
async def connected(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object]) -> AsyncIterator[Streams]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("answer", "status"),
    [(b"\x08\x01", "SERVING"), (b"\x08\x02", "NOT_SERVING"), (b"", "UNKNOWN"), (b"\x08\x09", ""), (None, "")],
)
async def test_what_a_server_says(answer: bytes | None, status: str) -> None:
    server, service = Server(answer), "s" * 200
    async with connected(server.serve) as (reader, writer), asyncio.timeout(30):
        assert await grpc_health.check(reader, writer, service, "kube-probe/1.37") == status
    assert server.headers[b":path"] == b"/grpc.health.v1.Health/Check"
    assert server.headers[b"te"] == b"trailers"
    request = b"\x0a\xc8\x01" + service.encode()
    assert server.message == struct.pack(">BI", 0, len(request)) + request


async def test_another_protocol_is_an_error() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with connected(serve) as (reader, writer), asyncio.timeout(30):
        with pytest.raises(ConnectionError):
            await grpc_health.check(reader, writer, "", "kube-probe/1.37")
