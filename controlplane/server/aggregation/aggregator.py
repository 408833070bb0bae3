"""Extension API servers: which group and version is whose, whether it can be reached, and requests handed to it.

    request for /apis/GROUP/VERSION ── authenticated, authorized here ── X-Remote-User… ── Service's endpoint

The server behind believes the headers because of the certificate that they come with (front-proxy-client),
as `kube-system/extension-apiserver-authentication` tells it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from controlplane.api.errors import ApiError, NotFound, ServiceUnavailable
from controlplane.api.kinds import API_SERVICE, ENDPOINT_SLICE, SERVICE
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.server import forwarding
from controlplane.server.aggregation.checks import Verdict, check, peer_of
from controlplane.server.aggregation.documents import Document
from controlplane.server.aggregation.local import is_local
from controlplane.server.authorization import Action
from controlplane.server.dialing import Dialer
from controlplane.server.exchange import Exchange
from controlplane.server.outgoing import Outgoing, Peer, endpoints_of
from controlplane.server.pki import Pair
from controlplane.server.registry import Registry
from controlplane.server.requests import User, WriteOptions
from controlplane.store import Key, Store

log = logging.getLogger(__name__)

RESOURCE = API_SERVICE.resource
WATCHED = frozenset((RESOURCE, SERVICE.resource, ENDPOINT_SLICE.resource))
POLL_SECONDS = 30.0
SETTLE_SECONDS = 0.1
ANSWER_SECONDS = 60.0
"""For a whole answer but that of a watch, as upstream's --request-timeout."""
UNAVAILABLE = "service unavailable"
OPENAPI = "/openapi/v3"

_OURS = ("authorization", "host", "impersonate-", "upgrade", "x-remote-")
"""Headers, by their beginning, that are for this server."""

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}

_IN_NAMES = "!#$&'*+-.^_`|~"
"""What a header's name may hold besides letters and digits; the rest of a key is escaped, as its reader expects."""

GroupVersion = tuple[str, str]


class Aggregator:
    """The APIServices with a Service behind them; `active` is whether there are any."""

    def __init__(self, registry: Registry, dialer: Dialer, proxy_client: Pair | None) -> None:
        self._registry = registry
        self._dialer = dialer
        self._resolve = endpoints_of(registry)
        self._outgoing = Outgoing(self._resolve, dialer, _shows(proxy_client) if proxy_client else None)
        self._services: dict[GroupVersion, str] = {}
        self._changed = asyncio.Event()
        self._lists: dict[GroupVersion, Document] = {}
        for revision in registry.store.objects(RESOURCE):
            self.settle(revision.key, registry.store)

    @property
    def active(self) -> bool:
        return bool(self._services)

    def lists_of(self) -> dict[GroupVersion, Document]:
        """What the servers that can be reached serve."""
        return self._lists

    def settle(self, key: Key, store: Store) -> None:
        """Follows the APIService of `key` as it is now, and calls for the checks again where they may differ."""
        if key.resource == RESOURCE:
            latest = store.latest(key)
            for gone in [one for one, name in self._services.items() if name == key.name]:
                del self._services[gone]
            if latest is not None and not is_local(latest.document):
                spec = latest.document["spec"]
                self._services[spec.get("group", ""), spec["version"]] = key.name
        if key.resource in WATCHED and (self._services or self._lists):
            self._changed.set()

    async def run(self) -> None:
        """Checks every server when something changed, and every half minute, until cancelled."""
        try:
            while True:
                self._changed.clear()
                for name in list(self._services.values()):
                    try:
                        await self._check(name)
                    except Exception:  # the boundary: what one server answers must not end the checks of all
                        log.exception("extension API server not checked", extra={"service": name})
                self._lists = {key: found for key, found in self._lists.items() if key in self._services}
                try:
                    async with asyncio.timeout(POLL_SECONDS if self.active else None):
                        await self._changed.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(SETTLE_SECONDS)
        finally:
            await self._outgoing.close()

    def serves(self, path: str) -> GroupVersion | None:
        """The group and version that another server answers for, at this path."""
        parts = path.removeprefix(OPENAPI).split("/", 4)
        if len(parts) > 3 and parts[1] == "apis" and (parts[2], parts[3]) in self._services:
            return parts[2], parts[3]
        return None

    async def answer(self, exchange: Exchange, key: GroupVersion) -> web.StreamResponse:
        """Hands the request on; ServiceUnavailable where nobody is there."""
        service = self._service(self._services[key])
        if service is None or not _is_available(service):
            raise ServiceUnavailable(UNAVAILABLE)
        peer, request = peer_of(service), exchange.request
        try:
            if forwarding.wants_upgrade(request):
                return await self._upgraded(exchange, peer)
            return await self._answered(exchange, peer)
        except TimeoutError as error:
            raise ServiceUnavailable(f"error trying to reach service: no answer in {ANSWER_SECONDS:.0f} s") from error
        except (OSError, aiohttp.ClientError, ApiError, ValueError) as error:
            raise ServiceUnavailable(f"error trying to reach service: {error}") from error

    async def _upgraded(self, exchange: Exchange, peer: Peer) -> web.StreamResponse:
        request, endpoint = exchange.request, self._outgoing.endpoint(peer)
        headers = _handed_on(request, exchange.user)
        headers["Host"] = peer.url.removeprefix("https://")
        path = request.rel_url.raw_path_qs
        return await forwarding.upgraded_through(request, self._dialer, endpoint, path, headers)

    async def _answered(self, exchange: Exchange, peer: Peer) -> web.StreamResponse:
        request = exchange.request
        url = URL(f"{peer.url}{request.rel_url.raw_path_qs}", encoded=True)
        seconds = None if action_of(request).verb == "watch" else ANSWER_SECONDS
        async with (
            asyncio.timeout(seconds),
            self._outgoing.session(peer).request(
                request.method,
                url,
                headers=_handed_on(request, exchange.user),
                data=request.content if request.body_exists else None,
                ssl=self._outgoing.context(peer),
                allow_redirects=False,
                skip_auto_headers=forwarding.KEPT_AS_THEY_ARE,
            ) as response,
        ):
            return await forwarding.handed_back(request, response, forwarding.passed_on(response.headers, *_OURS))

    async def _check(self, name: str) -> None:
        service = self._service(name)
        if service is None or is_local(service):
            return
        verdict = await check(self._registry, self._resolve, self._outgoing, service)
        key = service["spec"].get("group", ""), service["spec"]["version"]
        if verdict.resources is None:
            self._lists.pop(key, None)
        else:
            self._lists[key] = verdict.resources
        if _condition(service) != verdict[:3]:
            await self._report(name, verdict)

    async def _report(self, name: str, verdict: Verdict) -> None:
        log.info("extension API server", extra={"service": name, "available": verdict.status, "reason": verdict.reason})

        def note(service: Object) -> None:
            condition = {"type": "Available", "status": verdict.status, "lastTransitionTime": timestamp()}
            condition |= {"reason": verdict.reason, "message": verdict.message}
            service["status"] = {"conditions": [condition]}

        try:
            await self._registry.modify(API_SERVICE, name, "", note, WriteOptions())
        except NotFound:
            return

    def _service(self, name: str) -> Object | None:
        revision = self._registry.store.get(Key(RESOURCE, "", name))
        return revision.document if revision is not None else None


def action_of(request: web.BaseRequest) -> Action:
    """What a request asks of a resource that only another server knows."""
    if request.path.startswith(OPENAPI):
        return Action(request.method.lower(), path=request.path)
    parts = request.path.strip("/").split("/")
    group, rest = parts[1], parts[3:]
    if not rest:
        return Action(request.method.lower(), path=request.path)
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource = (*rest[:3], "", "")[:3]
    verb = _VERBS.get(request.method, request.method.lower())
    if not name:
        verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
    if verb in ("get", "list") and request.query.get("watch") in ("1", "true"):
        verb = "watch"
    return Action(verb, group, resource, subresource, namespace, name)


def _shows(pair: Pair) -> Callable[[ssl.SSLContext], None]:
    def load(context: ssl.SSLContext) -> None:
        with TemporaryDirectory() as directory:
            certificate, key = Path(directory, "certificate"), Path(directory, "key")
            key.touch(mode=0o600)
            certificate.write_bytes(pair.certificate)
            key.write_bytes(pair.key)
            context.load_cert_chain(certificate, key)

    return load


def _is_available(service: Object) -> bool:
    return _condition(service)[:1] == ("True",)


def _condition(service: Object) -> tuple[str, str, str]:
    for one in service.get("status", {}).get("conditions", ()):
        if one.get("type") == "Available":
            return one.get("status", ""), one.get("reason", ""), one.get("message", "")
    return "", "", ""


def _handed_on(request: web.BaseRequest, user: User) -> CIMultiDict[str]:
    headers = forwarding.passed_on(request.headers, *_OURS)
    headers["X-Remote-User"] = user.name
    if user.uid:
        headers["X-Remote-Uid"] = user.uid
    for group in user.groups:
        headers.add("X-Remote-Group", group)
    for name, values in user.extra.items():
        for value in _texts(values):
            headers.add(f"X-Remote-Extra-{quote(name, safe=_IN_NAMES)}", value)
    headers["X-Forwarded-For"] = request.remote or ""
    return headers


def _texts(values: Iterable[str]) -> Iterable[str]:
    return (value for value in values if value.isprintable())
