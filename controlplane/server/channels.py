"""Several byte streams over one WebSocket: the subprotocols v5.channel.k8s.io to channel.k8s.io.

The first byte of each binary message is the channel: 0 stdin, 1 stdout, 2 stderr, 3 the final
`Status`, 4 terminal sizes; in v5 the caller closes a channel with 255 and its number
(KEP-4006, k8s.io/apimachinery/pkg/util/remotecommand). In those named base64, for browsers, a message
is text: the channel's digit and the bytes in base64. Before v4 the end is told only when it is a
failure, by its message alone; who names no subprotocol gets that of binary messages.
"""

from __future__ import annotations

import asyncio
import binascii
from base64 import b64decode, b64encode
from collections.abc import AsyncIterator

import orjson
from aiohttp import WSMsgType, web

from controlplane.api.errors import ApiError, BadRequest
from controlplane.api.types import Object
from controlplane.server.streams import Output, TerminalSize

STDIN, STDOUT, STDERR, ERROR, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
UNREADABLE = -1
PROTOCOLS = (
    "v5.channel.k8s.io",
    "v4.channel.k8s.io",
    "v4.base64.channel.k8s.io",
    "channel.k8s.io",
    "base64.channel.k8s.io",
)
WAITING_BOUND = 64
"""Chunks of input that wait for the process; more hold the caller up."""

HEARTBEAT_SECONDS = 30.0
MESSAGE_BOUND = 4 << 20


class Channels:
    """The server's end; made by `accept`, and `run` must run while the streams are used."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._stdin: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_BOUND)
        self._sizes: asyncio.Queue[TerminalSize | None] = asyncio.Queue(WAITING_BOUND)
        self._stdin_open = True
        protocol = socket.ws_protocol or ""
        self._in_base64 = "base64" in protocol
        self._tells_status = protocol.startswith(("v4.", "v5."))

    @classmethod
    async def accept(cls, request: web.BaseRequest) -> Channels:
        """Upgrades the request; BadRequest when it asks for no WebSocket or no protocol that is spoken here."""
        asked = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        if request.headers.get("Upgrade", "").lower() != "websocket":
            raise BadRequest("Upgrade request required")
        if asked != [""] and not set(asked) & set(PROTOCOLS):
            raise BadRequest(f"unable to upgrade: none of the subprotocols {asked} is one of {list(PROTOCOLS)}")
        socket = web.WebSocketResponse(protocols=PROTOCOLS, heartbeat=HEARTBEAT_SECONDS, max_msg_size=MESSAGE_BOUND)
        await socket.prepare(request)
        return cls(socket)

    async def run(self) -> None:
        """Sorts what comes in; returns when the caller has gone."""
        async for message in self._socket:
            if message.type not in (WSMsgType.BINARY, WSMsgType.TEXT) or not message.data:
                continue
            channel, data = self._unpacked(message.data)
            if channel == STDIN and self._stdin_open and data:
                await self._stdin.put(data)
            elif channel == RESIZE:
                size = terminal_size(data)
                if size is not None:
                    await self._sizes.put(size)
            elif channel == CLOSE and data == bytes([STDIN]):
                await self._end_stdin()
        await self._end_stdin()
        await self._sizes.put(None)

    async def stdin(self) -> AsyncIterator[bytes]:
        """What the caller types, until he closes it or goes."""
        while (data := await self._stdin.get()) is not None:
            yield data

    async def sizes(self) -> AsyncIterator[TerminalSize]:
        """The sizes of the caller's terminal."""
        while (size := await self._sizes.get()) is not None:
            yield size

    def output(self, channel: int) -> Output:
        """Sends to the caller on STDOUT or STDERR."""

        async def send(data: bytes) -> None:
            await self._send(channel, data)

        return send

    async def finish(self, status: Object) -> None:
        """Sends the final status and closes."""
        if self._tells_status:
            await self._send(ERROR, orjson.dumps(status))
        elif status["status"] != "Success":
            await self._send(ERROR, status["message"].encode())
        await self._socket.close()

    async def _send(self, channel: int, data: bytes) -> None:
        if self._in_base64:
            await self._socket.send_str(f"{channel}{b64encode(data).decode()}")
        else:
            await self._socket.send_bytes(bytes([channel]) + data)

    def _unpacked(self, message: bytes | str) -> tuple[int, bytes]:
        """Channel and bytes of a message; a channel that there is not where it cannot be read."""
        if not self._in_base64:
            data = message.encode() if isinstance(message, str) else message
            return data[0], data[1:]
        text = message if isinstance(message, str) else message.decode(errors="replace")
        try:
            return int(text[:1]), b64decode(text[1:])
        except (ValueError, binascii.Error):
            return UNREADABLE, b""

    @property
    def socket(self) -> web.WebSocketResponse:
        """The response that the request handler returns."""
        return self._socket

    async def _end_stdin(self) -> None:
        if self._stdin_open:
            self._stdin_open = False
            await self._stdin.put(None)


def terminal_size(data: bytes) -> TerminalSize | None:
    """The size in a message about it; None when it cannot be read, which is no reason to end a shell."""
    try:
        size = orjson.loads(data)
        return TerminalSize(int(size["Width"]), int(size["Height"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def exit_status(code: int) -> Object:
    """The `Status` from which kubectl takes the exit code of a process."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def failure_status(error: ApiError) -> Object:
    """The `Status` of a process that could not be run."""
    return error.status()
