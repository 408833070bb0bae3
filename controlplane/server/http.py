"""The HTTPS server: connections, errors, headers; what a request means is in the handlers.

aiohttp's low-level server without its router and middleware: every request comes to `_handle`,
which is the one place where errors become `Status` objects.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from socket import socket

from aiohttp import web

from controlplane.api.errors import ApiError, InternalError, MethodNotAllowed, RequestTooLarge
from controlplane.server import wording
from controlplane.server.aggregation.aggregator import Aggregator, action_of
from controlplane.server.aggregation.authentication import front_proxy_client
from controlplane.server.authentication import Authenticator, impersonated
from controlplane.server.authorization import Action, authorize
from controlplane.server.dialing import Dialer
from controlplane.server.documents import Documents
from controlplane.server.exchange import Exchange
from controlplane.server.metrics import Metrics
from controlplane.server.pki import Pki
from controlplane.server.registry import Registry
from controlplane.server.requests import User
from controlplane.server.resources import Resources
from controlplane.server.routes import resource_target
from controlplane.server.streams import StreamDirectory
from controlplane.server.upgrades import Upgraded

log = logging.getLogger(__name__)

BODY_BOUND = 3 << 20
HEAD_BOUND = 1 << 20
"""Bytes of a request's first line, and of a header, as upstream: selectors can be long."""
SHUTDOWN_SECONDS = 0.5
BACKLOG = 1024
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""For callers who wait for it before they send a body: curl does, with a large one."""


class ApiServer:
    """One API on any number of listening sockets.

    `tokens` are static bearer tokens. `address` is host:port as clients reach the server, shown in
    discovery. Proxied requests leave through `dialer`.
    """

    def __init__(
        self,
        registry: Registry,
        pki: Pki,
        *,
        streams: StreamDirectory | None = None,
        dialer: Dialer | None = None,
        tokens: Mapping[str, User] | None = None,
        address: str = "127.0.0.1:6443",
    ) -> None:
        self._registry = registry
        self._pki = pki
        self._authenticator = Authenticator(registry, tokens or {})
        self._resources = Resources(registry, self._authenticator, streams or StreamDirectory(), dialer or Dialer())
        self._metrics = Metrics(registry)
        self._dialer = dialer or Dialer()
        self._aggregator: Aggregator | None = None
        self._documents = Documents(registry, address, self._metrics)

    @asynccontextmanager
    async def serve(self, sockets: Sequence[socket]) -> AsyncIterator[None]:
        """Answers on `sockets`, which listen already and are closed at the end."""
        context = await asyncio.to_thread(_tls_context, self._pki)
        aggregating = await self._aggregate()
        server = web.Server(
            self._handle,
            request_factory=_request,
            handler_cancellation=True,
            access_log=None,
            tcp_keepalive=True,
            keepalive_timeout=600.0,
            max_line_size=HEAD_BOUND,
            max_field_size=HEAD_BOUND,
            auto_decompress=False,
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            for listening in sockets:
                await web.SockSite(runner, listening, ssl_context=context, backlog=BACKLOG).start()
            yield
        finally:
            self._resources.close()
            await runner.cleanup()
            aggregating.cancel()
            await asyncio.wait({aggregating})

    async def _aggregate(self) -> asyncio.Task[None]:
        """Begins to look for extension API servers."""
        client = await asyncio.to_thread(front_proxy_client, self._pki)
        self._aggregator = aggregator = Aggregator(self._registry, self._dialer, client)
        self._documents.extensions = aggregator.lists_of
        self._registry.writer.add_settler(aggregator.settle)
        return asyncio.get_running_loop().create_task(aggregator.run(), name="extension-api-servers")

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = Exchange(request, request.headers.get("Audit-ID") or str(uuid.uuid4()))
        begun, code = time.monotonic(), 0
        try:
            response = await self._respond(exchange)
            code = response.status
            return response
        except ConnectionError:
            # The caller has gone; or he is there and must see that what was begun is not whole.
            if request.transport is not None:
                request.transport.abort()
            request.protocol.force_close()
            return Upgraded()
        finally:
            self._metrics.count(exchange, code, time.monotonic() - begun)

    async def _respond(self, exchange: Exchange) -> web.StreamResponse:
        request = exchange.request
        try:
            return await self._answer(exchange)
        except ApiError as error:
            return _refused(exchange, error)
        except web.HTTPRequestEntityTooLarge:
            return _refused(exchange, RequestTooLarge(f"Request entity too large: limit is {BODY_BOUND}"))
        except web.RequestPayloadError as error:
            raise ConnectionResetError("the body is not what its head announces") from error
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # the boundary: a bug is a 500 and a log line
            log.error("request failed", exc_info=error, extra={"method": request.method, "path": request.path})
            return _refused(exchange, InternalError(f"Internal error occurred: {type(error).__name__}: {error}"))

    async def _answer(self, exchange: Exchange) -> web.StreamResponse:
        request = exchange.request
        certificate = request.transport.get_extra_info("peercert") if request.transport else None
        user = self._authenticator.user(request.headers.get("Authorization", ""), certificate)
        exchange.user = impersonated(self._registry.authorizer, user, request.headers)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(CONTINUE)
            request.writer.output_size = 0
        if self._aggregator is not None and self._aggregator.active:
            served = self._aggregator.serves(request.path)
            if served is not None:
                authorize(self._registry.authorizer, exchange.user, action_of(request))
                return await self._aggregator.answer(exchange, served)
        exchange.target = target = resource_target(self._registry.scheme, request.path)
        if target is not None:
            return await self._resources.answer(exchange, target)
        action = Action(request.method.lower(), path=request.path)
        authorize(self._registry.authorizer, exchange.user, action)
        document = await self._documents.answer(exchange)
        if document is None:
            raise wording.not_served(request.path)
        if request.method not in ("GET", "HEAD"):
            raise MethodNotAllowed("the server does not allow this method on the requested resource")
        return document


def _refused(exchange: Exchange, error: ApiError) -> web.Response:
    """The Status; ConnectionResetError where an answer has begun, which must not end as if it were whole."""
    if exchange.request.writer.output_size:
        raise ConnectionResetError("the answer has begun already") from error
    return exchange.refuse(error)


def _request(
    message: object, payload: object, protocol: object, writer: object, task: asyncio.Task[None]
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_BOUND)  # type: ignore[arg-type]


def _tls_context(pki: Pki) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pki.server_certificate, pki.server_key)
    context.load_verify_locations(pki.ca_certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context
