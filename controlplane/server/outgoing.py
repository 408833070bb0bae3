"""HTTPS requests that the API server makes: to webhooks and to extension API servers.

To a URL as any program on this host; to a Service from inside the cluster's network, at one of its
ready endpoints, because the host has no rules for Service addresses. Connections are kept.
"""

from __future__ import annotations

import asyncio
import base64
import os
import ssl
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from controlplane.api.errors import ApiError
from controlplane.api.kinds import SERVICE
from controlplane.server.dialing import Dialer
from controlplane.server.forwarding import DialedConnector, Endpoint
from controlplane.server.proxy_targets import locate
from controlplane.server.registry import Registry

CONTEXTS = 64
IDLE_SECONDS = 30.0
BODY_BOUND = 64 << 20
"""Bytes of an answer: a conversion's holds hundreds of objects."""

Resolve = Callable[[str, str, int], tuple[str, int]]
"""Address and port of an endpoint of a Service, given its namespace, name and port; ApiError when there is none."""


def endpoints_of(registry: Registry) -> Resolve:
    """Finds endpoints as services/NAME/proxy does."""

    def resolve(namespace: str, name: str, port: int) -> tuple[str, int]:
        place = locate(registry, SERVICE, f"https:{name}:{port}", namespace)
        return place.address, place.port

    return resolve


class CallFailed(Exception):
    """Nobody answered, or not as an HTTP server does; the text is a Go client's."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom to call: `service` is namespace, name and port, None for a plain `url`."""

    url: str
    service: tuple[str, str, int] | None = None
    ca_bundle: str = ""
    insecure: bool = False

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Peer:
        """From a `WebhookClientConfig`."""
        service = config.get("service")
        if service is None:
            return cls(config.get("url", ""), None, config.get("caBundle", ""))
        namespace, name, port = service["namespace"], service["name"], service.get("port", 443)
        path = service.get("path", "")
        url = f"https://{name}.{namespace}.svc:{port}/{path.removeprefix('/')}"
        return cls(url, (namespace, name, port), config.get("caBundle", ""))


class Outgoing:
    """The connections of one server; `client` is the certificate shown to who asks for one."""

    def __init__(
        self, resolve: Resolve, dialer: Dialer, client: Callable[[ssl.SSLContext], None] | None = None
    ) -> None:
        self._resolve = resolve
        self._dialer = dialer
        self._client = client
        self._contexts: OrderedDict[tuple[str, bool], ssl.SSLContext] = OrderedDict()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def close(self) -> None:
        """Closes every connection."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def call(
        self,
        peer: Peer,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str],
        seconds: float,
    ) -> tuple[int, bytes]:
        """Status and body of the answer to one request; CallFailed when there is none within `seconds`."""
        verb = method.capitalize()
        try:
            async with (
                asyncio.timeout(seconds),
                self.session(peer).request(
                    method, url, data=body, headers=headers, ssl=self.context(peer), allow_redirects=False
                ) as response,
            ):
                return response.status, await _body(response)
        except TimeoutError as error:
            raise CallFailed(f'{verb} "{url}": context deadline exceeded') from error
        except ssl.SSLCertVerificationError as error:
            raise CallFailed(f'{verb} "{url}": {_certificate(error)}') from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise CallFailed(f'{verb} "{url}": {_certificate(error.certificate_error)}') from error
        except (OSError, aiohttp.ClientError, ApiError, ValueError) as error:
            raise CallFailed(f'{verb} "{url}": {_said(error)}') from error

    def session(self, peer: Peer) -> aiohttp.ClientSession:
        """The session that reaches `peer`, opened when first needed."""
        inside = peer.service is not None
        session = self._sessions.get(inside)
        if session is None:
            connector: aiohttp.BaseConnector = aiohttp.TCPConnector()
            if inside:
                connector = DialedConnector(self._dialer, self._endpoint, idle_seconds=IDLE_SECONDS)
            timeout = aiohttp.ClientTimeout(total=None)
            session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
            self._sessions[inside] = session
        return session

    def endpoint(self, peer: Peer) -> Endpoint:
        """Where the Service of a peer is at this moment; ApiError where it is nowhere."""
        assert peer.service is not None
        namespace, name, _ = peer.service
        return Endpoint(*self._resolve(*peer.service), self.context(peer), f"{name}.{namespace}.svc")

    def _endpoint(self, request: aiohttp.ClientRequest) -> Endpoint:
        """That of a request to a host named NAME.NAMESPACE.svc."""
        host = request.url.host or ""
        name, namespace = host.split(".")[:2]
        context = request.ssl if isinstance(request.ssl, ssl.SSLContext) else None
        place = self._resolve(namespace, name, request.url.port or 443)
        return Endpoint(*place, context, host if context else None)

    def context(self, peer: Peer) -> ssl.SSLContext:
        """Trusts the peer's own CA bundle, or what this host trusts; ValueError for one that is no certificate."""
        key = (peer.ca_bundle, peer.insecure)
        context = self._contexts.get(key)
        if context is None:
            context = ssl.create_default_context(cadata=_pem(peer.ca_bundle) if peer.ca_bundle else None)
            # Go does not mind a CA without the key usage that newer OpenSSL insists on.
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
            if peer.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self._client is not None:
                self._client(context)
            self._contexts[key] = context
            while len(self._contexts) > CONTEXTS:
                self._contexts.popitem(last=False)
        return context


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body; ValueError where it is too much to be kept."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > BODY_BOUND:
            raise ValueError(f"the answer is longer than {BODY_BOUND} bytes")
    return bytes(body)


def _said(error: Exception) -> str:
    """Why there was no connection, as a Go program says it."""
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"dial tcp: lookup {error.host}: no such host"
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return f"dial tcp {error.host}:{error.port}: connect: {os.strerror(error.os_error.errno).lower()}"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "EOF"
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


def _pem(bundle: str) -> str:
    try:
        return base64.b64decode(bundle).decode()
    except ValueError as error:
        raise ValueError("unable to load root certificates: unable to parse bytes as PEM block") from error


def _certificate(error: Exception) -> str:
    """OpenSSL's verdict in the words of a Go program, which are what is looked up."""
    said = str(error)
    if "self-signed" in said or "self signed" in said or "unable to get local issuer" in said:
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority"
    if "expired" in said:
        return "tls: failed to verify certificate: x509: certificate has expired or is not yet valid"
    reason = getattr(error, "verify_message", "") or said
    return f"tls: failed to verify certificate: x509: {reason}"
