"""pods/NAME/proxy, services/NAME/proxy and nodes/NAME/proxy: hands a request on, of any method, to a server in the
cluster, and its answer back; after an upgrade, such as to a WebSocket, both directions as they are.
"""

from __future__ import annotations

import ssl

import aiohttp
from aiohttp import web
from yarl import URL

from controlplane.api.errors import ServiceUnavailable
from controlplane.server import forwarding, proxy_links
from controlplane.server.dialing import Dialer
from controlplane.server.exchange import Exchange
from controlplane.server.kubelet import Kubelet
from controlplane.server.proxy_targets import Location, locate
from controlplane.server.registry import Registry
from controlplane.server.routes import Target

METHODS = {"GET": "get", "HEAD": "get", "OPTIONS": "get", "POST": "create"} | {
    "PUT": "update",
    "PATCH": "patch",
    "DELETE": "delete",
}
CHUNK = 64 << 10
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
            if forwarding.wants_upgrade(request):
                headers = forwarding.passed_on(request.headers, *_OURS)
                return await forwarding.upgraded_through(request, self._dialer, _endpoint(place), path, headers)
            return await self._forward(request, place, path, prefix)
        except (OSError, aiohttp.ClientError) as error:
            said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise ServiceUnavailable(f"error trying to reach service: {said}") from error

    async def _forward(self, request: web.BaseRequest, place: Location, path: str, prefix: str) -> web.StreamResponse:
        url = f"{place.scheme}://{place.address}:{place.port}{path}"
        headers = forwarding.passed_on(request.headers, *_OURS)
        headers["X-Forwarded-Uri"] = prefix + path.partition("?")[0]
        connector = forwarding.DialedConnector(self._dialer, lambda _: _endpoint(place))
        async with (
            aiohttp.ClientSession(connector=connector, auto_decompress=False) as session,
            session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                data=request.content if request.body_exists else None,
                allow_redirects=False,
                skip_auto_headers=forwarding.KEPT_AS_THEY_ARE,
                timeout=_NO_LIMIT,
            ) as response,
        ):
            return await _handed_back(request, response, f"{place.address}:{place.port}", prefix)


def _endpoint(place: Location) -> forwarding.Endpoint:
    """Whoever answers is believed, as upstream's proxy does: what pods serve is signed by nobody known."""
    if place.scheme != "https":
        return forwarding.Endpoint(place.address, place.port)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return forwarding.Endpoint(place.address, place.port, context, place.address)


def path_of(request: web.BaseRequest, target: Target) -> str:
    """What is asked of the server behind, as it is in the URL."""
    return _divided(request.rel_url.raw_path, namespaced=bool(target.namespace))[1] or ""


def _divided(path: str, *, namespaced: bool) -> tuple[str, str | None]:
    """The path up to "proxy", and what follows the slash after it; None when nothing does."""
    parts = path.split("/")
    end = 8 if namespaced else 6
    return "/".join(parts[:end]), "/".join(parts[end:]) if len(parts) > end else None


async def _handed_back(
    request: web.BaseRequest, response: aiohttp.ClientResponse, host: str, prefix: str
) -> web.StreamResponse:
    headers = forwarding.passed_on(response.headers, *_OURS)
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
    return await forwarding.handed_back(request, response, headers, body)
