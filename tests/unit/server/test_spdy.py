"""SPDY frames and streams, against the frames that the specification describes."""

from __future__ import annotations

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from controlplane.server import spdy
from controlplane.server.spdy_connection import WAITING_BOUND, Connection, Stream


class Pipe:
    """A transport whose other end is this test."""

    def __init__(self) -> None:
        self.inward: asyncio.Queue[bytes] = asyncio.Queue()
        self.answers: asyncio.Queue[spdy.Frame] = asyncio.Queue()
        self._reader = spdy.FrameReader()

    async def read(self) -> bytes:
        return await self.inward.get()

    async def write(self, data: bytes) -> None:
        for frame in self._reader.feed(data):
            self.answers.put_nowait(frame)


@asynccontextmanager
async def connected(pipe: Pipe) -> AsyncIterator[Connection]:
    connection = Connection(pipe)
    running = asyncio.ensure_future(connection.run())
    async with asyncio.timeout(30):
        yield connection
        pipe.inward.put_nowait(b"")
        await running


async def opened(connection: Connection) -> Stream:
    stream = await connection.accept()
    assert stream is not None
    return stream


def test_the_dictionary_is_the_specifications() -> None:
    assert zlib.adler32(spdy.DICTIONARY) == 0xE3C6A7C2


def test_frames_are_read_back_from_pieces_of_any_size() -> None:
    writer, reader = spdy.FrameWriter(), spdy.FrameReader()
    sent = writer.syn_stream(1, {"streamtype": "data", "port": "80"})
    sent += writer.syn_stream(3, {"streamtype": "error"}, fin=True)
    sent += writer.data(1, b"content", fin=True) + writer.rst_stream(3, spdy.CANCEL) + writer.ping(7)
    frames = [frame for byte in sent for frame in reader.feed(bytes([byte]))]
    assert frames == [
        spdy.Frame(spdy.SYN_STREAM, 1, headers={"streamtype": "data", "port": "80"}),
        spdy.Frame(spdy.SYN_STREAM, 3, headers={"streamtype": "error"}, fin=True),
        spdy.Frame(0, 1, b"content", fin=True),
        spdy.Frame(spdy.RST_STREAM, 3, number=spdy.CANCEL),
        spdy.Frame(spdy.PING, number=7),
    ]


@pytest.mark.parametrize(
    "frame",
    [
        struct.pack(">II", 1, spdy.FRAME_BOUND + 1),
        struct.pack(">II", 0x80020006, 4) + bytes(4),
        struct.pack(">II", 0x80030006, 2) + bytes(2),
        struct.pack(">II", 0x80030001, 20) + bytes(20),
        struct.pack(">II", 0x80030001, 10) + bytes(10),
        spdy.FrameWriter().syn_stream(1, {"long": "x" * spdy.HEADERS_BOUND}),
    ],
    ids=["too long", "version", "short ping", "no compression", "no headers", "headers too long"],
)
def test_what_cannot_be_read_ends_the_connection(frame: bytes) -> None:
    with pytest.raises(spdy.SpdyError):
        list(spdy.FrameReader().feed(frame))


async def test_streams_are_answered_and_carry_both_ways() -> None:
    pipe, client = Pipe(), spdy.FrameWriter()
    async with connected(pipe) as connection:
        pipe.inward.put_nowait(client.syn_stream(1, {"streamtype": "data"}) + client.data(1, b"one"))
        stream = await opened(connection)
        assert stream.headers == {"streamtype": "data"}
        assert (await pipe.answers.get()).kind == spdy.SYN_REPLY
        pipe.inward.put_nowait(client.data(1, b"two", fin=True))
        assert [chunk async for chunk in stream.data()] == [b"one", b"two"]
        await stream.send(b"back")
        await stream.close()
        assert [await pipe.answers.get() for _ in range(2)] == [
            spdy.Frame(0, 1, b"back"),
            spdy.Frame(0, 1, b"", fin=True),
        ]


async def test_pings_are_answered_and_even_or_repeated_streams_refused() -> None:
    pipe, client = Pipe(), spdy.FrameWriter()
    async with connected(pipe):
        pipe.inward.put_nowait(client.ping(5) + client.syn_stream(2, {}))
        assert await pipe.answers.get() == spdy.Frame(spdy.PING, number=5)
        assert await pipe.answers.get() == spdy.Frame(spdy.RST_STREAM, 2, number=spdy.PROTOCOL_ERROR)


async def test_a_reset_ends_a_stream_in_both_directions() -> None:
    pipe, client = Pipe(), spdy.FrameWriter()
    async with connected(pipe) as connection:
        pipe.inward.put_nowait(client.syn_stream(1, {}) + client.rst_stream(1, spdy.CANCEL))
        stream = await opened(connection)
        assert [chunk async for chunk in stream.data()] == []
        await stream.gone.wait()
        with pytest.raises(ConnectionError):
            await stream.send(b"late")


async def test_a_stream_that_nobody_reads_holds_up_until_it_is_abandoned() -> None:
    pipe, client = Pipe(), spdy.FrameWriter()
    async with connected(pipe) as connection:
        pipe.inward.put_nowait(client.syn_stream(1, {}) + client.data(1, b"x") * (WAITING_BOUND + 1) + client.ping(9))
        stream = await opened(connection)
        assert (await pipe.answers.get()).kind == spdy.SYN_REPLY
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(pipe.answers.get(), 0.05)
        stream.abandon()
        assert await pipe.answers.get() == spdy.Frame(spdy.PING, number=9)


async def test_the_end_of_the_connection_ends_every_stream() -> None:
    pipe, client = Pipe(), spdy.FrameWriter()
    async with connected(pipe) as connection:
        pipe.inward.put_nowait(client.syn_stream(1, {}))
        stream = await opened(connection)
        pipe.inward.put_nowait(b"")
        assert [chunk async for chunk in stream.data()] == []
        assert await connection.accept() is None
