"""pods/NAME/proxy, services/NAME/proxy and nodes/NAME/proxy: hands a request on, of any method, to a server in the
cluster, and its answer back; after an upgrade, such as to a WebSocket, both directions as they are.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from aiohttp.client_proto import ResponseHandler
from multidict import CIMultiDict
from yarl import URL

from controlplane.api.errors import ServiceUnavailable
from controlplane.server import proxy_links
from controlplane.server.dialing import Dialer
from controlplane.server.exchange import Exchange
from controlplane.server.kubelet import Kubelet
from controlplane.server.proxy_targets import Location, locate
from controlplane.server.registry import Registry
from controlplane.server.routes import Target
from controlplane.server.spdy_connection import ByteTransport
from controlplane.server.upgrades import SocketTransport, Upgraded, taken

METHODS = {"GET": "get", "HEAD": "get", "OPTIONS": "get", "POST": "create"} | {
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
CHUNK = 64 << 10
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "transfer-encoding")
)
_OURS = ("authorization", "impersonate-", "upgrade")
_NO_LIMIT = aiohttp.ClientTimeout(total=None)


class Proxy:
    """The proxy subresources of a server; a node without a port is answered by `kubelet`."""

    def __init__(self, registry: Registry, dialer: Dialer, kubelet: Kubelet) -> None:
        self._registry = registry
        self._dialer = dialer
        self._kubelet = kubelet

    async def answer(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """The answer of the server behind `target`; ServiceUnavailable when it cannot be reached."""
        place = locate(self._registry, target.kind, target.name, target.namespace)
        request = exchange.request
        prefix, rest = _divided(request.rel_url.raw_path, namespaced=bool(target.namespace))
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        if rest is None and request.method in ("GET", "HEAD"):
            headers = exchange.headers()
            headers["Location"] = f"{prefix}/{query}"
            return web.Response(status=301, headers=headers)
        if place.node:
            return await self._kubelet.answer(exchange, place.node, rest or "")
        path = f"/{rest or ''}{query}"
        try:
            if "upgrade" in request.headers.get("Connection", "").lower() and request.headers.get("Upgrade"):
                return await self._upgrade(request, place, path)
            return await self._forward(request, place, path, prefix)
        except (OSError, aiohttp.ClientError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ServiceUnavailable(f"error trying to reach service: {said}") from error

    async def _forward(self, request: web.BaseRequest, place: Location, path: str, prefix: str) -> web.StreamResponse:
        url = f"{place.scheme}://{place.address}:{place.port}{path}"
        headers = _headers(request.headers)
        headers["X-Forwarded-Uri"] = prefix + path.partition("?")[0]
        async with (
            aiohttp.ClientSession(connector=_Connector(self._dialer, place), auto_decompress=False) as session,
            session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                data=request.content if request.body_exists else None,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
                timeout=_NO_LIMIT,
            ) as response,
        ):
            return await _handed_back(request, response, f"{place.address}:{place.port}", prefix)

    async def _upgrade(self, request: web.BaseRequest, place: Location, path: str) -> web.StreamResponse:
        headers = _headers(request.headers)
        headers["Connection"], headers["Upgrade"] = "Upgrade", request.headers["Upgrade"]
        lines = [f"{request.method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
        async with self._opened(place) as server:
            await server.write(("\r\n".join(lines) + "\r\n\r\n").encode())
            async with taken(request) as client:
                await _joined(client, server)
        return Upgraded()

    @asynccontextmanager
    async def _opened(self, place: Location) -> AsyncIterator[ByteTransport]:
        connected = await self._dialer.connect(place.address, place.port)
        reader, writer = await asyncio.open_connection(sock=connected, ssl=_ssl(place))
        try:
            yield SocketTransport(reader, writer)
        finally:
            writer.close()


class _Connector(aiohttp.BaseConnector):
    """One connection through the dialer."""

    def __init__(self, dialer: Dialer, place: Location) -> None:
        super().__init__(force_close=True)
        self._dialer = dialer
        self._place = place

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[aiohttp.tracing.Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - the base class's name
    ) -> ResponseHandler:
        loop = asyncio.get_running_loop()
        connected = await self._dialer.connect(self._place.address, self._place.port)
        made = functools.partial(ResponseHandler, loop=loop)
        hostname = self._place.address if self._place.scheme == "https" else None
        _, protocol = await loop.create_connection(
            made, sock=connected, ssl=_ssl(self._place), server_hostname=hostname
        )
        return protocol


def _ssl(place: Location) -> ssl.SSLContext | None:
    """Whoever answers is believed, as upstream's proxy does: what pods serve is signed by nobody known."""
    if place.scheme != "https":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def path_of(request: web.BaseRequest, target: Target) -> str:
    """What is asked of the server behind, as it is in the URL."""
    return _divided(request.rel_url.raw_path, namespaced=bool(target.namespace))[1] or ""


def _divided(path: str, *, namespaced: bool) -> tuple[str, str | None]:
    """The path up to "proxy", and what follows the slash after it; None when nothing does."""
    parts = path.split("/")
    end = 8 if namespaced else 6
    return "/".join(parts[:end]), "/".join(parts[end:]) if len(parts) > end else None


def _headers(found: Mapping[str, str]) -> CIMultiDict[str]:
    """The caller's headers without what was for this server or for this connection only."""
    kept: CIMultiDict[str] = CIMultiDict()
    for name, value in found.items():
        lower = name.lower()
        if lower not in _HOP_BY_HOP and not lower.startswith(_OURS):
            kept.add(name, value)
    return kept


async def _handed_back(
    request: web.BaseRequest, response: aiohttp.ClientResponse, host: str, prefix: str
) -> web.StreamResponse:
    headers = _headers(response.headers)
    if "Location" in headers:
        headers["Location"] = proxy_links.location(headers["Location"], host, prefix)
    length = int(headers.get("Content-Length", 0))
    page = response.content_type == "text/html" and "Content-Encoding" not in headers
    if page and length <= proxy_links.REWRITTEN_BOUND and request.method != "HEAD":
        body = await response.content.read(proxy_links.REWRITTEN_BOUND)
        while len(body) < proxy_links.REWRITTEN_BOUND and (more := await response.content.read(CHUNK)):
            body += more
        if response.content.at_eof():
            del headers["Content-Length"]
            return web.Response(body=proxy_links.html(body, prefix), status=response.status, headers=headers)
    else:
        body = b""
    stream = web.StreamResponse(status=response.status, reason=response.reason, headers=headers)
    await stream.prepare(request)
    if body:
        await stream.write(body)
    async for chunk in response.content.iter_any():
        await stream.write(chunk)
    await stream.write_eof()
    return stream


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
