"""A request handed on to a server in the cluster, its answer handed back in pieces; after an upgrade bytes both ways.

What the proxies of pods, Services and nodes and that of extension API servers have in common, and the connections
that webhooks use as well. Who is meant, and what of a request is passed on, is theirs.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict

from controlplane.server.dialing import Dialer
from controlplane.server.spdy_connection import ByteTransport
from controlplane.server.upgrades import SocketTransport, Upgraded, taken

KEPT_AS_THEY_ARE = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
"""Headers that the HTTP client must not add: the caller's count, or there are none."""

CLOSE_SECONDS = 1.0
_HOP_BY_HOP = frozenset(
    (
        *("connection", "expect", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"),
        "transfer-encoding",
    )
)


class Endpoint(NamedTuple):
    """Where to connect to; without `context` no TLS is spoken. `hostname` is what the certificate is to name."""

    address: str
    port: int
    context: ssl.SSLContext | None = None
    hostname: str | None = None


Find = Callable[[aiohttp.ClientRequest], Endpoint]


class DialedConnector(aiohttp.BaseConnector):
    """Connections from inside the cluster's network, to where `find` says that a request goes.

    They are kept for `idle_seconds`; without, each is for one request.
    """

    def __init__(self, dialer: Dialer, find: Find, *, idle_seconds: float | None = None) -> None:
        if idle_seconds is None:
            super().__init__(force_close=True)
        else:
            super().__init__(keepalive_timeout=idle_seconds, limit=0)
        self._dialer = dialer
        self._find = find

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the base class's name
    ) -> ResponseHandler:
        address, port, context, hostname = self._find(req)
        connected = await self._dialer.connect(address, port)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            partial(ResponseHandler, loop=loop), sock=connected, ssl=context, server_hostname=hostname
        )
        return protocol


def wants_upgrade(request: web.BaseRequest) -> bool:
    """Whether the caller asks for another protocol on this connection."""
    return "upgrade" in request.headers.get("Connection", "").lower() and "Upgrade" in request.headers


def passed_on(found: Mapping[str, str], *dropped: str) -> CIMultiDict[str]:
    """Headers without what is for this connection only, and without those whose names begin with one of `dropped`."""
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in found.items():
        lower = name.lower()
        if lower not in _HOP_BY_HOP and not lower.startswith(dropped):
            kept.add(name, value)
    return kept


async def handed_back(
    request: web.BaseRequest, response: aiohttp.ClientResponse, headers: CIMultiDict[str], begun: bytes = b""
) -> web.StreamResponse:
    """The server's answer as it comes; `begun` is what was read of its body already."""
    stream = web.StreamResponse(status=response.status, reason=response.reason, headers=headers)
    await stream.prepare(request)
    if begun:
        await stream.write(begun)
    async for chunk in response.content.iter_any():
        await stream.write(chunk)
    await stream.write_eof()
    return stream


async def upgraded_through(
    request: web.BaseRequest, dialer: Dialer, endpoint: Endpoint, path: str, headers: CIMultiDict[str]
) -> web.StreamResponse:
    """Hands on a request for an upgrade, and from then on what either side sends, until one of them has ended.

    ValueError for a header with more than one line.
    """
    headers["Connection"], headers["Upgrade"] = "Upgrade", request.headers["Upgrade"]
    head = _head(f"{request.method} {path} HTTP/1.1", headers)
    connected = await dialer.connect(endpoint.address, endpoint.port)
    reader, writer = await asyncio.open_connection(
        sock=connected, ssl=endpoint.context, server_hostname=endpoint.hostname
    )
    try:
        server = SocketTransport(reader, writer)
        await server.write(head)
        async with taken(request) as client:
            await _joined(client, server)
    finally:
        await _closed(writer)
    return Upgraded()


def _head(first: str, headers: CIMultiDict[str]) -> bytes:
    lines = [first, *(f"{name}: {value}" for name, value in headers.items())]
    # Names of users and groups come from certificates, and may hold anything: also what would be a header of its own.
    if any(end in line for line in lines for end in "\r\n\0"):
        raise ValueError("a header has more than one line")
    return ("\r\n".join(lines) + "\r\n\r\n").encode(errors="surrogateescape")


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Ends a connection after what is under way on it, if that does not take long."""
    writer.close()
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await writer.wait_closed()
    except (TimeoutError, OSError):
        writer.transport.abort()


async def _joined(one: ByteTransport, other: ByteTransport) -> None:
    """Carries bytes both ways until either side has ended."""

    async def carry(source: ByteTransport, target: ByteTransport) -> None:
        while data := await source.read():
            await target.write(data)

    ways = [asyncio.ensure_future(carry(one, other)), asyncio.ensure_future(carry(other, one))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
