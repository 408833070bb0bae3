"""What each HTTP method does to a resource: reads the request, calls the registry, renders the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from aiohttp import web

from controlplane.api import decode as decoding
from controlplane.api.errors import BadRequest, MethodNotAllowed
from controlplane.api.kinds import NAMESPACE
from controlplane.api.patch import PatchType, patch_type_of
from controlplane.api.selectors import FieldSelector, parse_fields
from controlplane.api.subresources import SUBRESOURCES, body_of
from controlplane.api.tables import include_of
from controlplane.api.types import Kind, Object
from controlplane.server import parameters, proxying, rendering, reviews, wording
from controlplane.server.authentication import Authenticator
from controlplane.server.authorization import Action, authorize
from controlplane.server.dialing import Dialer
from controlplane.server.exchange import Exchange
from controlplane.server.kubelet import Kubelet
from controlplane.server.negotiation import is_json, read_body, read_yaml
from controlplane.server.pod_streams import PodStreams
from controlplane.server.postings import post
from controlplane.server.proxying import Proxy
from controlplane.server.registry import Registry
from controlplane.server.requests import MASTERS, WriteOptions
from controlplane.server.routes import Target
from controlplane.server.streams import StreamDirectory
from controlplane.server.watch_stream import WatchStreams
from controlplane.store import Revision

NOT_ALLOWED = "the server does not allow this method on the requested resource"
RETURN_DELETED = frozenset(("pods", "services", "serviceaccounts", "persistentvolumeclaims", "persistentvolumes"))
"""Kinds of which a delete returns the object and not a Status, as upstream's storage options say."""

STREAMS = frozenset(("log", "exec", "attach", "portforward"))
UPGRADES = frozenset(("exec", "attach", "portforward"))

FLAGS = frozenset(("stdin", "stdout", "stderr", "tty"))
"""Options of connections that are true or false."""

COLLECTION_VERBS = frozenset(("list", "watch", "deletecollection"))

_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


class Resources:
    """The handlers of everything under /api/v1 and /apis/GROUP/VERSION."""

    def __init__(
        self, registry: Registry, authenticator: Authenticator, streams: StreamDirectory, dialer: Dialer
    ) -> None:
        self._registry = registry
        self._reviews = reviews.Reviews(authenticator, registry.authorizer)
        self._watches = WatchStreams(registry)
        self._pod_streams = PodStreams(registry, streams)
        self._proxy = Proxy(registry, dialer, Kubelet(registry, streams, self._pod_streams))

    def close(self) -> None:
        """Ends every watch, so that the server can stop."""
        self._watches.close()

    async def answer(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        """The answer to one request."""
        verb = exchange.verb = _verb(exchange.request, target)
        if target.kind.deprecation:
            exchange.warn(target.kind.deprecation)
        if MASTERS not in exchange.user.groups:
            authorize(self._registry.authorizer, exchange.user, _action(exchange.request, target, verb))
        if target.kind.conversion is not None and verb != "create":
            await self._registry.prepare(target.kind, target.namespace, target.name)
        if target.subresource:
            return await self._subresource(exchange, target, verb)
        if verb not in target.kind.verbs:
            raise MethodNotAllowed(NOT_ALLOWED)
        exchange.wanted.check()
        match verb:
            case "get":
                revision = self._registry.get(target.kind, target.name, target.namespace)
                return await self._one(exchange, target.kind, revision)
            case "list":
                return await self._list(exchange, target)
            case "watch":
                return await self._watches.answer(exchange, target)
            case "create":
                return await self._create(exchange, target)
            case "update" | "patch":
                return await self._change(exchange, target, verb)
            case "delete":
                return await self._delete(exchange, target)
        return await self._delete_collection(exchange, target)

    async def _subresource(self, exchange: Exchange, target: Target, verb: str) -> web.StreamResponse:
        if target.subresource not in target.kind.subresources:
            raise wording.not_served(exchange.request.path)
        if verb not in SUBRESOURCES[target.subresource].verbs:
            raise MethodNotAllowed(NOT_ALLOWED)
        if target.subresource in STREAMS:
            self._authorize_upgrade(exchange, target, verb)
            exchange.verb = "connect"
            if target.subresource in UPGRADES:
                await self._consult(exchange, target)
            return await self._pod_streams.answer(exchange, target)
        if target.subresource == "proxy":
            exchange.verb = "connect"
            await self._consult(exchange, target)
            return await self._proxy.answer(exchange, target)
        match verb:
            case "get":
                revision = self._registry.get(
                    target.kind, target.name, target.namespace, subresource=target.subresource
                )
                return await self._one(exchange, target.kind, revision)
            case "create":
                body, options = await self._body(exchange)
                made = await post(
                    self._registry, target.kind, target.name, target.namespace, target.subresource, body, options
                )
                return exchange.plain(made, 201)
        return await self._change(exchange, target, verb)

    async def _consult(self, exchange: Exchange, target: Target) -> None:
        """Asks webhooks about a connection, whose object are the options that the query holds."""
        if not self._registry.writer.admission.hooks.active:
            return
        group, version, name = connect_options(target.kind, target.subresource)
        asked: Object = {"kind": name, "apiVersion": f"{group}/{version}" if group else version, "metadata": {}}
        query = exchange.request.query
        if target.subresource == "proxy":
            asked["path"] = proxying.path_of(exchange.request, target)
        else:
            for option in query.keys() - asked.keys():
                values = query.getall(option)
                read = parameters.flag(query, option) if option in FLAGS else values[0]
                asked[option] = values if option == "command" else read
        options = WriteOptions(user=exchange.user, warn=exchange.warn)
        await self._registry.consult(
            "CONNECT", target.kind, target.name, target.namespace, asked, target.subresource, options
        )

    def _authorize_upgrade(self, exchange: Exchange, target: Target, verb: str) -> None:
        """A WebSocket begins with a GET, and takes the right to create all the same."""
        if verb == "get" and target.subresource in UPGRADES:
            authorize(self._registry.authorizer, exchange.user, _action(exchange.request, target, "create"))

    async def _one(self, exchange: Exchange, kind: Kind, revision: Revision, status: int = 200) -> web.StreamResponse:
        include = include_of(exchange.request.query.get("includeObject", ""))
        return await exchange.answer(rendering.one(kind, revision, exchange.wanted, include), status)

    async def _list(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        query = exchange.request.query
        page = self._registry.list(target.kind, target.namespace, parameters.list_options(query))
        body = rendering.many(target.kind, page, exchange.wanted, include_of(query.get("includeObject", "")))
        return await exchange.answer(body)

    async def _create(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        body, options = await self._body(exchange)
        if self._reviews.takes(target.kind):
            return exchange.plain(self._reviews.answer(target.kind, body, target.namespace, options), 201)
        if target.kind.plural == "bindings":
            name = body.get("metadata", {}).get("name", "") if isinstance(body, dict) else ""
            pods = self._registry.scheme.resource("", "v1", "pods")
            assert pods is not None
            return exchange.plain(
                await post(self._registry, pods, name, target.namespace, "binding", body, options), 201
            )
        revision = await self._registry.create(target.kind, target.namespace, body, options)
        return await self._one(exchange, target.kind, revision, 201)

    async def _change(self, exchange: Exchange, target: Target, verb: str) -> web.StreamResponse:
        kind, name, namespace, subresource = target.kind, target.name, target.namespace, target.subresource
        if verb == "update":
            body, options = await self._body(exchange)
            put = await self._registry.put(kind, name, namespace, body, options, subresource=subresource)
            return await self._one(exchange, kind, put.revision, 201 if put.created else 200)
        patch_type = patch_type_of(kind, exchange.request.headers.get("Content-Type", ""))
        data = await exchange.request.read()
        options = _write_options(exchange, patch_type=patch_type)
        if patch_type == "apply":
            return await self._apply(exchange, target, await read_yaml(data), options)
        body = _parse_patch(data)
        revision = await self._registry.patch(kind, name, namespace, body, patch_type, options, subresource=subresource)
        return await self._one(exchange, kind, revision)

    async def _apply(
        self, exchange: Exchange, target: Target, config: Any, options: WriteOptions
    ) -> web.StreamResponse:
        exchange.verb = "apply"
        kind, name, namespace = target.kind, target.name, target.namespace
        applied = await self._registry.apply(kind, name, namespace, config, options, subresource=target.subresource)
        return await self._one(exchange, kind, applied.revision, 201 if applied.created else 200)

    async def _delete(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        options = parameters.delete_options(exchange.request.query, await self._optional_body(exchange), exchange.user)
        deleted = await self._registry.delete(target.kind, target.name, target.namespace, options)
        if deleted.gone and target.kind.plural not in RETURN_DELETED:
            return exchange.plain(_deleted(target.kind, deleted.revision.document))
        return await self._one(exchange, target.kind, deleted.revision)

    async def _delete_collection(self, exchange: Exchange, target: Target) -> web.StreamResponse:
        query = exchange.request.query
        options = parameters.delete_options(query, await self._optional_body(exchange), exchange.user)
        selected = parameters.list_options(query)
        page = await self._registry.delete_collection(target.kind, target.namespace, selected, options)
        return await exchange.answer(rendering.many(target.kind, page, exchange.wanted))

    async def _body(self, exchange: Exchange) -> tuple[Any, WriteOptions]:
        request = exchange.request
        data = await request.read()
        content_type = request.headers.get("Content-Type", "")
        body = await read_body(data, content_type)
        duplicates: tuple[str, ...] = ()
        if request.query.get("fieldValidation") != "Ignore" and is_json(content_type):
            duplicates = tuple(decoding.duplicate_fields(data, body))
        return body, _write_options(exchange, duplicates)

    @staticmethod
    async def _optional_body(exchange: Exchange) -> Any:
        data = await exchange.request.read()
        return await read_body(data, exchange.request.headers.get("Content-Type", "")) if data else None


def connect_options(kind: Kind, subresource: str) -> tuple[str, str, str]:
    """Group, version and kind of the options of a connection to `subresource`."""
    return ("", "v1", f"{kind.name}ProxyOptions") if subresource == "proxy" else body_of(kind, subresource)


def _action(request: web.BaseRequest, target: Target, verb: str) -> Action:
    """What is asked for, as rules name it: a namespace lies within itself."""
    kind, name = target.kind, target.name
    namespace = name if kind is NAMESPACE else target.namespace
    fields = _fields(request, kind) if verb in COLLECTION_VERBS else None
    if fields is not None and not name:
        name = fields.exact("metadata.name") or ""
    return Action(verb, kind.group, kind.plural, target.subresource, namespace, name, fields=fields)


def _fields(request: web.BaseRequest, kind: Kind) -> FieldSelector | None:
    """What a collection is narrowed to; a selector that cannot be read narrows nothing, and is refused later."""
    try:
        return parse_fields(kind, request.query.get("fieldSelector", ""))
    except BadRequest:
        return None


def _write_options(
    exchange: Exchange, duplicates: tuple[str, ...] = (), patch_type: PatchType | None = None
) -> WriteOptions:
    query, headers = exchange.request.query, exchange.request.headers
    options = parameters.write_options(query, exchange.user, exchange.warn, patch_type=patch_type)
    agent = headers.get("User-Agent", "").partition("/")[0]
    return replace(options, duplicates=duplicates, agent=agent[: parameters.MANAGER_BOUND])


def _verb(request: web.BaseRequest, target: Target) -> str:
    verb = (proxying.METHODS if target.subresource == "proxy" else _VERBS).get(request.method)
    if verb is None:
        raise MethodNotAllowed(NOT_ALLOWED)
    if request.method == "HEAD" and (target.subresource in STREAMS or _watches(request, target)):
        # Their answers have no end, or are no answers to be described.
        raise MethodNotAllowed(NOT_ALLOWED)
    if verb == "get" and not target.subresource:
        if _watches(request, target):
            return "watch"
        return "get" if target.name else "list"
    if target.name:
        if verb == "create" and not target.subresource:
            raise MethodNotAllowed(NOT_ALLOWED)
        return verb
    if verb == "delete":
        return "deletecollection"
    if verb in ("update", "patch"):
        raise MethodNotAllowed(NOT_ALLOWED)
    return verb


def _watches(request: web.BaseRequest, target: Target) -> bool:
    return not target.subresource and (target.legacy_watch or parameters.flag(request.query, "watch"))


def _parse_patch(data: bytes) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"error decoding patch: {error}") from error


def _deleted(kind: Kind, obj: Object) -> Object:
    details = {"name": obj["metadata"]["name"], "group": kind.group, "kind": kind.plural, "uid": obj["metadata"]["uid"]}
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": {key: value for key, value in details.items() if value},
    }
