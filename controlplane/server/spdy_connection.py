"""The server's end of a SPDY connection over any byte transport: streams that a client opens.

Flow control is as in the library that clients use (moby/spdystream): WINDOW_UPDATE is neither sent nor
obeyed. A stream that is not read holds the whole connection up once its bound is reached, and the
transport's own back-pressure does the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol, TypeVar

from controlplane.server import spdy

WAITING_BOUND = 64
"""Chunks of one stream, and new streams, that wait to be taken; more hold the caller up."""

STREAMS_BOUND = 4096
CHUNK = 64 << 10

T = TypeVar("T")


class ByteTransport(Protocol):
    """What frames travel on."""

    async def read(self) -> bytes:
        """The next bytes; b"" at the end."""
        ...

    async def write(self, data: bytes) -> None:
        """Returns when there is room for more; ConnectionError when the peer has gone."""
        ...


class Stream:
    """A stream that the client opened; `headers` have lower-case names."""

    def __init__(self, connection: Connection, number: int, headers: Mapping[str, str]) -> None:
        self.number = number
        self.headers = headers
        self.gone = asyncio.Event()
        """The client has reset the stream, or the connection has ended."""
        self._connection = connection
        self._received: asyncio.Queue[bytes] = asyncio.Queue(WAITING_BOUND)
        self._ended = asyncio.Event()
        self._open = True

    async def data(self) -> AsyncIterator[bytes]:
        """What the client sends, until he ends his half."""
        while (chunk := await self._next()) is not None:
            yield chunk

    async def send(self, data: bytes) -> None:
        """Sends to the client; ConnectionError once he has let go of the stream."""
        for start in range(0, len(data), CHUNK):
            if self.gone.is_set():
                raise ConnectionResetError("the stream was reset")
            await self._connection.send_data(self.number, data[start : start + CHUNK])

    async def close(self) -> None:
        """Ends our half; safe to call again."""
        if self._open and not self.gone.is_set():
            self._open = False
            await self._connection.send_data(self.number, b"", fin=True)
        if self._ended.is_set():
            self._connection.forget(self.number)

    def abandon(self) -> None:
        """Nothing more is read: what still comes is thrown away."""
        self._ended.set()

    async def receive(self, data: bytes, *, fin: bool) -> None:
        """Takes what has come for this stream, in order; waits while too much of it has not been read."""
        if data and not self._ended.is_set():
            putting = asyncio.ensure_future(self._received.put(data))
            await _first(putting, self._ended)
        if fin:
            self._ended.set()
            if not self._open:
                self._connection.forget(self.number)

    def end(self) -> None:
        """The stream is over in both directions."""
        self._ended.set()
        self.gone.set()

    async def _next(self) -> bytes | None:
        if self._received.empty():
            getting = asyncio.ensure_future(self._received.get())
            chunk = await _first(getting, self._ended)
            if chunk is not None:
                return chunk
        return None if self._received.empty() else self._received.get_nowait()


class Connection:
    """All streams of one client; `run` must run while they are used."""

    def __init__(self, transport: ByteTransport) -> None:
        self._transport = transport
        self._writer = spdy.FrameWriter()
        self._lock = asyncio.Lock()
        self._streams: dict[int, Stream] = {}
        self._new: asyncio.Queue[Stream] = asyncio.Queue(WAITING_BOUND)
        self._last = 0
        self._over = asyncio.Event()

    async def run(self) -> None:
        """Sorts what comes in; returns when the client has gone, SpdyError when he makes no sense."""
        reader = spdy.FrameReader()
        try:
            while data := await self._transport.read():
                for frame in reader.feed(data):
                    await self._take(frame)
        finally:
            self._over.set()
            for stream in self._streams.values():
                stream.end()
            self._streams.clear()

    async def accept(self) -> Stream | None:
        """The next stream that the client opens; None when he has gone."""
        return await _first(asyncio.ensure_future(self._new.get()), self._over)

    async def send_data(self, number: int, data: bytes, *, fin: bool = False) -> None:
        """Sends a DATA frame."""
        await self._write(self._writer.data(number, data, fin=fin))

    async def close(self) -> None:
        """Says that nothing more comes."""
        await self._write(self._writer.goaway(self._last))

    def forget(self, number: int) -> None:
        """Both halves of a stream have ended."""
        self._streams.pop(number, None)

    async def _take(self, frame: spdy.Frame) -> None:
        stream = self._streams.get(frame.stream)
        match frame.kind:
            case 0 if stream is not None:
                await stream.receive(frame.data, fin=frame.fin)
            case spdy.SYN_STREAM:
                await self._open(frame)
            case spdy.RST_STREAM if stream is not None:
                stream.end()
                self.forget(frame.stream)
            case spdy.PING if frame.number % 2:
                await self._write(self._writer.ping(frame.number))

    async def _open(self, frame: spdy.Frame) -> None:
        number = frame.stream
        if number % 2 == 0 or number <= self._last:
            await self._write(self._writer.rst_stream(number, spdy.PROTOCOL_ERROR))
            return
        self._last = number
        if len(self._streams) >= STREAMS_BOUND:
            await self._write(self._writer.rst_stream(number, spdy.REFUSED_STREAM))
            return
        stream = self._streams[number] = Stream(self, number, frame.headers or {})
        if frame.fin:
            await stream.receive(b"", fin=True)
        await self._write(self._writer.syn_reply(number, {}))
        await self._new.put(stream)

    async def _write(self, data: bytes) -> None:
        async with self._lock:
            await self._transport.write(data)


async def _first(wanted: asyncio.Future[T], end: asyncio.Event) -> T | None:
    """What `wanted` comes to, or None when `end` comes first."""
    ending = asyncio.ensure_future(end.wait())
    try:
        both: list[asyncio.Future[Any]] = [wanted, ending]
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        return wanted.result() if wanted.done() else None
    finally:
        ending.cancel()
        wanted.cancel()
