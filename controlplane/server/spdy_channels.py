"""The streams of a process over SPDY/3.1, for clients from before WebSocket: the protocol v4.channel.k8s.io.

Each stream is one of SPDY's, named by its header `streamtype`; terminal sizes are lines of JSON, and the
final `Status` goes onto `error`. The same surface as `channels.Channels`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from controlplane.api.types import Object
from controlplane.server.channels import STDERR, STDOUT, terminal_size
from controlplane.server.spdy_connection import Connection, Stream
from controlplane.server.streams import Output, TerminalSize
from controlplane.server.upgrades import agreed, upgraded

PROTOCOLS = ("v4.channel.k8s.io",)
STREAMS_SECONDS = 30.0
"""How long the client may take to open the streams that it asked for, as upstream waits."""

CLOSE_SECONDS = 1.0
"""How long the client may take to go after the end; closed earlier, what is under way to him could be lost."""

LINE_BOUND = 4096
_NAMES = {STDOUT: "stdout", STDERR: "stderr"}


class SpdyChannels:
    """The server's end; made by `accepted`."""

    def __init__(self, connection: Connection, running: asyncio.Future[None], streams: dict[str, Stream]) -> None:
        self._connection = connection
        self._running = running
        self._streams = streams

    async def run(self) -> None:
        """Returns when the caller has gone."""
        await asyncio.wait({self._running})

    def stdin(self) -> AsyncIterator[bytes]:
        """What the caller types, until he closes it or goes."""
        return self._streams["stdin"].data()

    async def sizes(self) -> AsyncIterator[TerminalSize]:
        """The sizes of the caller's terminal."""
        waiting = b""
        async for data in self._streams["resize"].data():
            *lines, waiting = (waiting + data).split(b"\n")
            waiting = waiting[:LINE_BOUND]
            for size in filter(None, map(terminal_size, lines)):
                yield size

    def output(self, channel: int) -> Output:
        """Sends to the caller on STDOUT or STDERR."""
        return self._streams[_NAMES[channel]].send

    async def finish(self, status: Object) -> None:
        """Sends the final status and closes."""
        await self._streams["error"].send(orjson.dumps(status))
        for stream in self._streams.values():
            stream.abandon()
            await stream.close()
        await self._connection.close()
        await asyncio.wait({self._running}, timeout=CLOSE_SECONDS)


@asynccontextmanager
async def accepted(request: web.BaseRequest, names: Collection[str]) -> AsyncIterator[SpdyChannels]:
    """Upgrades the request and waits for the streams `names`; ConnectionError if the client does not open them."""
    async with upgraded(request, agreed(request, PROTOCOLS)) as transport:
        connection = Connection(transport)
        running = asyncio.ensure_future(connection.run())
        try:
            yield SpdyChannels(connection, running, await _opened(connection, names))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def _opened(connection: Connection, names: Collection[str]) -> dict[str, Stream]:
    streams: dict[str, Stream] = {}
    try:
        async with asyncio.timeout(STREAMS_SECONDS):
            while not streams.keys() >= set(names):
                stream = await connection.accept()
                if stream is None:
                    raise ConnectionResetError("the client has gone")
                streams[stream.headers.get("streamtype", "")] = stream
    except TimeoutError as error:
        raise ConnectionResetError("the client does not open its streams") from error
    return streams
