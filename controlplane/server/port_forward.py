"""`pods/NAME/portforward`: the protocol portforward.k8s.io on SPDY, upgraded or inside a WebSocket.

For each connection the client opens two streams of one request id: `error`, on which text says what went
wrong, and `data` (k8s.io/apimachinery/pkg/util/portforward).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from aiohttp import web

from controlplane.api.errors import ApiError, BadRequest
from controlplane.api.types import Object
from controlplane.server import port_channels
from controlplane.server.spdy_connection import ByteTransport, Connection, Stream
from controlplane.server.streams import NodeStreams
from controlplane.server.upgrades import Upgraded, agreed, offered, tunnelled, upgraded, wants

PROTOCOL = "portforward.k8s.io"
TUNNELLED = f"SPDY/3.1+{PROTOCOL}"
PAIR_SECONDS = 30.0
"""How long one of two streams is waited for."""


async def forward(request: web.BaseRequest, pod: Object, node: NodeStreams) -> web.StreamResponse:
    """Forwards connections until the client goes."""
    if wants(request) == "websocket":
        if TUNNELLED not in offered(request) and port_channels.is_offered(request):
            return await port_channels.forward(request, pod, node)
        async with tunnelled(request, TUNNELLED) as (transport, response):
            await _Forwarding(transport, pod, node).run()
            return response
    if wants(request) != "spdy/3.1":
        raise BadRequest("Upgrade request required")
    async with upgraded(request, agreed(request, (PROTOCOL,))) as transport:
        await _Forwarding(transport, pod, node).run()
    return Upgraded()


class _Forwarding:
    """All connections of one client."""

    def __init__(self, transport: ByteTransport, pod: Object, node: NodeStreams) -> None:
        self._connection = Connection(transport)
        self._pod = pod
        self._node = node
        self._halves: dict[str, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        receiving = asyncio.ensure_future(self._connection.run())
        try:
            while (stream := await self._connection.accept()) is not None:
                self._sort(stream)
        finally:
            tasks = [receiving, *self._tasks]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _sort(self, stream: Stream) -> None:
        identity = stream.headers.get("requestid", "")
        other = self._halves.pop(identity, None)
        if other is None:
            self._halves[identity] = stream
            asyncio.get_running_loop().call_later(PAIR_SECONDS, self._give_up, identity, stream)
            return
        both = {one.headers.get("streamtype", ""): one for one in (stream, other)}
        task = asyncio.ensure_future(self._forward(both.get("data"), both.get("error"), (stream, other)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _give_up(self, identity: str, stream: Stream) -> None:
        if self._halves.get(identity) is stream:
            del self._halves[identity]
            stream.abandon()

    async def _forward(self, data: Stream | None, error: Stream | None, both: tuple[Stream, Stream]) -> None:
        with suppress(ConnectionError):
            if data is not None and error is not None:
                complaint = await self._carry(data)
                if complaint:
                    await error.send(complaint.encode())
            for stream in both:
                stream.abandon()
                await stream.close()

    async def _carry(self, data: Stream) -> str:
        """Joins a stream with the pod until either side has ended; what went wrong, if anything did."""
        text = data.headers.get("port", "")
        if not text.isdecimal() or not 0 < int(text) < 65536:
            return f'unable to parse "{text}" as a port'
        carrying = asyncio.ensure_future(self._node.port_forward(self._pod, int(text), data.data(), data.send))
        gone = asyncio.ensure_future(data.gone.wait())
        try:
            await asyncio.wait({carrying, gone}, return_when=asyncio.FIRST_COMPLETED)
            if carrying.done():
                carrying.result()
        except (ApiError, OSError) as error:
            return port_channels.failure(self._pod, int(text), error)
        finally:
            gone.cancel()
            carrying.cancel()
            await asyncio.gather(gone, carrying, return_exceptions=True)
        return ""
