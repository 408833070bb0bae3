"""Whether an extension API server can be reached: upstream's checks, in its order, reasons and words."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from controlplane.api.errors import NotFound, ServiceUnavailable
from controlplane.api.kinds import SERVICE
from controlplane.api.types import Object
from controlplane.server.outgoing import CallFailed, Outgoing, Peer, Resolve
from controlplane.server.registry import Registry

SECONDS = 5.0
AS_AGGREGATOR = {
    "Accept": "application/json",
    "X-Remote-User": "system:kube-aggregator",
    "X-Remote-Group": "system:masters",
}


class Verdict(NamedTuple):
    """The condition Available, and the APIResourceList of the group and version when it is True."""

    status: str
    reason: str
    message: str
    resources: dict[str, Any] | None = None


def peer_of(service: Object) -> Peer:
    """Whom an APIService names."""
    spec = service["spec"]
    namespace, name, port = spec["service"]["namespace"], spec["service"]["name"], spec["service"].get("port", 443)
    url = f"https://{name}.{namespace}.svc:{port}"
    insecure = bool(spec.get("insecureSkipTLSVerify"))
    return Peer(url, (namespace, name, port), spec.get("caBundle", ""), insecure)


async def check(registry: Registry, resolve: Resolve, outgoing: Outgoing, service: Object) -> Verdict:
    """Asks for the Service, its endpoints, and what it serves."""
    peer = peer_of(service)
    assert peer.service is not None
    namespace, name, port = peer.service
    shown = f'service/{name} in "{namespace}"'
    try:
        found = registry.get(SERVICE, name, namespace).document
    except NotFound:
        return Verdict("False", "ServiceNotFound", f"{shown} is not present")
    if port not in {one["port"] for one in found["spec"].get("ports", ())}:
        return Verdict("False", "ServicePortError", f"{shown} is not listening on port {port}")
    try:
        resolve(namespace, name, port)
    except ServiceUnavailable:
        return Verdict("False", "MissingEndpoints", f"endpoints for {shown} have no addresses")
    return await _ask(outgoing, peer, service["spec"])


async def _ask(outgoing: Outgoing, peer: Peer, spec: Object) -> Verdict:
    url = f"{peer.url}/apis/{spec.get('group', '')}/{spec['version']}"
    failed = f"failing or missing response from {url}"
    try:
        code, body = await outgoing.call(peer, "GET", url, headers=AS_AGGREGATOR, seconds=SECONDS)
    except CallFailed as error:
        return Verdict("False", "FailedDiscoveryCheck", f"{failed}: {error}")
    if not 200 <= code < 300:
        return Verdict("False", "FailedDiscoveryCheck", f"{failed}: bad status from {url}: {code}")
    try:
        resources = orjson.loads(body)
    except orjson.JSONDecodeError:
        resources = None
    if not _is_list(resources):
        return Verdict("False", "FailedDiscoveryCheck", f"{failed}: no APIResourceList")
    return Verdict("True", "Passed", "all checks passed", resources)


def _is_list(document: Any) -> bool:
    """Whether it is an APIResourceList that discovery can show: it is shown to everybody, beside this server's own."""
    if not isinstance(document, dict):
        return False
    resources = document.get("resources") or []
    return isinstance(resources, list) and all(_is_resource(one) for one in resources)


def _is_resource(resource: Any) -> bool:
    if not isinstance(resource, dict):
        return False
    texts = (resource.get(field) for field in ("name", "kind"))
    lists = (resource.get(field) or [] for field in ("verbs", "shortNames", "categories"))
    return all(isinstance(one, str) for one in texts) and all(isinstance(one, list) for one in lists)
