"""`pods/NAME/portforward` over the WebSocket subprotocol v4.channel.k8s.io, as the Python client speaks it.

One connection for each port that the request names. Port number I has two channels, the first byte of each message:
2*I for data and 2*I+1 for what went wrong. On each the server first says the port, two bytes, little-endian
(k8s.io/kubelet/pkg/cri/streaming/portforward/websocket.go).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

from aiohttp import WSMsgType, web

from controlplane.api.errors import ApiError, BadRequest
from controlplane.api.types import Object
from controlplane.server.channels import HEARTBEAT_SECONDS, MESSAGE_BOUND, WAITING_BOUND
from controlplane.server.streams import NodeStreams
from controlplane.server.upgrades import offered

PROTOCOL = "v4.channel.k8s.io"
MOST_PORTS = 128
"""A channel's number is one byte, and a port has two."""


def is_offered(request: web.BaseRequest) -> bool:
    """Whether the caller speaks this protocol, which is also meant where none is named."""
    return offered(request) == [""] or PROTOCOL in offered(request)


async def forward(request: web.BaseRequest, pod: Object, node: NodeStreams) -> web.StreamResponse:
    """Forwards one connection a port until all have ended or the caller has gone."""
    ports = _ports(request)
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), heartbeat=HEARTBEAT_SECONDS, max_msg_size=MESSAGE_BOUND)
    await socket.prepare(request)
    lanes = [_Lane(socket, index, port) for index, port in enumerate(ports)]
    tasks = [asyncio.ensure_future(lane.run(pod, node)) for lane in lanes]
    receiving = asyncio.ensure_future(_receive(socket, lanes))
    ended = asyncio.ensure_future(asyncio.wait(tasks))
    try:
        await asyncio.wait({receiving, ended}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (receiving, ended, *tasks):
            task.cancel()
        await asyncio.gather(receiving, ended, *tasks, return_exceptions=True)
        await socket.close()
    return socket


class _Lane:
    """One port: its two channels, and the connection in the pod."""

    def __init__(self, socket: web.WebSocketResponse, index: int, port: int) -> None:
        self._socket = socket
        self._data, self._error = bytes([2 * index]), bytes([2 * index + 1])
        self._port = port
        self._input: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_BOUND)

    async def put(self, data: bytes | None) -> None:
        await self._input.put(data)

    async def run(self, pod: Object, node: NodeStreams) -> None:
        said = self._port.to_bytes(2, "little")
        try:
            await self._socket.send_bytes(self._data + said)
            await self._socket.send_bytes(self._error + said)
            try:
                await node.port_forward(pod, self._port, self._given(), self._send)
            except (ApiError, OSError) as error:
                await self._socket.send_bytes(self._error + failure(pod, self._port, error).encode())
        except ConnectionError:
            return  # the caller has gone

    async def _send(self, data: bytes) -> None:
        await self._socket.send_bytes(self._data + data)

    async def _given(self) -> AsyncIterator[bytes]:
        while (data := await self._input.get()) is not None:
            yield data


def failure(pod: Object, port: int, error: ApiError | OSError) -> str:
    """What is said of a port that could not be forwarded, or no further."""
    metadata, said = pod["metadata"], (isinstance(error, OSError) and error.strerror) or error
    return f"error forwarding port {port} to pod {metadata['name']}, uid {metadata['uid']}: {said}"


async def _receive(socket: web.WebSocketResponse, lanes: Sequence[_Lane]) -> None:
    async for message in socket:
        if message.type is not WSMsgType.BINARY or not message.data:
            continue
        channel, data = message.data[0], message.data[1:]
        if data and channel % 2 == 0 and channel // 2 < len(lanes):
            await lanes[channel // 2].put(data)
    for lane in lanes:
        await lane.put(None)


def _ports(request: web.BaseRequest) -> list[int]:
    texts = [text for value in request.query.getall("ports", []) for text in value.split(",")]
    if not texts:
        raise BadRequest('query parameter "port" is required')
    if len(texts) > MOST_PORTS:
        raise BadRequest(f"no more than {MOST_PORTS} ports can be forwarded over one connection")
    ports = []
    for text in texts:
        if not text.isdecimal() or not 0 < int(text) < 65536:
            raise BadRequest(f'unable to parse "{text}" as a port')
        ports.append(int(text))
    return ports
