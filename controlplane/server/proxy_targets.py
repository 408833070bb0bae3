"""Which address pods/NAME/proxy, services/NAME/proxy and nodes/NAME/proxy mean.

A name may carry a scheme and a port: "web", "web:80", "https:web:443", and "http:web:" for a Service's port
without a name. Rules and wording are those of the ResourceLocation functions of upstream's registries.
"""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from controlplane.api.errors import BadRequest, InternalError, ServiceUnavailable
from controlplane.api.kinds import ENDPOINT_SLICE, NODE, POD, SERVICE
from controlplane.api.selectors import format_selector
from controlplane.api.types import Kind, Object
from controlplane.server.registry import Registry
from controlplane.server.requests import ListOptions

SERVICE_LABEL = "kubernetes.io/service-name"
KUBELET_PORT = 10250
HIGHEST_PORT = 65535


@dataclass(frozen=True, slots=True)
class Location:
    """Where a request goes; `node` names the node whose own agent is meant instead."""

    scheme: str
    address: str = ""
    port: int = 0
    node: str = ""


def locate(registry: Registry, kind: Kind, name: str, namespace: str) -> Location:
    """The place that `name` means; BadRequest and ServiceUnavailable as upstream has them."""
    scheme, name, port = _split(kind, name)
    match kind.plural:
        case "pods":
            return _pod(registry.get(POD, name, namespace).document, scheme, port)
        case "services":
            return _service(registry, registry.get(SERVICE, name, namespace).document, scheme, port)
    return _node(registry.get(NODE, name).document, scheme, port)


def _split(kind: Kind, text: str) -> tuple[str, str, str]:
    """Scheme, name and port in `text`; what is left out is ""."""
    parts = text.split(":")
    if len(parts) <= 2:
        parts = ["", *parts, ""][:3]
    if len(parts) != 3 or parts[0] not in ("", "http", "https") or not parts[1]:
        raise BadRequest(f"invalid {kind.singular} request {text}")
    return parts[0], parts[1], parts[2]


def _pod(pod: Object, scheme: str, port: str) -> Location:
    address = pod.get("status", {}).get("podIP", "")
    if not _is_usable(address):
        raise BadRequest("address not allowed")
    declared = (one["containerPort"] for container in pod["spec"]["containers"] for one in container.get("ports", ()))
    return Location(scheme or "http", address, _number(port, next(declared, 0), scheme))


def _node(node: Object, scheme: str, port: str) -> Location:
    name = node["metadata"]["name"]
    if port in ("", str(KUBELET_PORT)):
        return Location("https", node=name)
    addresses = {one["type"]: one["address"] for one in node.get("status", {}).get("addresses", ())}
    if "InternalIP" not in addresses:
        raise InternalError(f"no preferred addresses found; known addresses: {sorted(addresses)}")
    if not _is_usable(addresses["InternalIP"]):
        raise BadRequest("address not allowed")
    return Location(scheme or "http", addresses["InternalIP"], _number(port, 0, scheme))


def _service(registry: Registry, service: Object, scheme: str, port: str) -> Location:
    name, namespace = service["metadata"]["name"], service["metadata"]["namespace"]
    if port.isdecimal():
        named = (one.get("name", "") for one in service["spec"].get("ports", ()) if one["port"] == int(port))
        found = next(named, None)
        if found is None:
            raise ServiceUnavailable(f'no service port {port} found for service "{name}"')
        port = found
    selector = format_selector({"matchLabels": {SERVICE_LABEL: name}})
    slices = registry.list(ENDPOINT_SLICE, namespace, ListOptions(label_selector=selector)).revisions
    endpoints = list(_endpoints((one.document for one in slices), port))
    if not endpoints:
        raise ServiceUnavailable(f'no endpoints available for service "{name}"')
    address, number = random.choice(endpoints)
    return Location(scheme or "http", address, number)


def _endpoints(slices: Iterable[Object], port: str) -> Iterator[tuple[str, int]]:
    """Addresses and port numbers of ready endpoints whose port has the name `port`, of those that may be proxied to."""
    for one in slices:
        named = (item.get("port", 0) for item in one.get("ports") or () if (item.get("name") or "") == port)
        numbers = [number for number in named if 0 < number <= HIGHEST_PORT]
        for endpoint in one.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready", True) is False:
                continue
            usable = [address for address in endpoint["addresses"] if _is_usable(address)]
            yield from ((address, number) for address in usable for number in numbers)


def _number(text: str, default: int, scheme: str) -> int:
    number = int(text) if text.isdecimal() else default
    if text and not text.isdecimal():
        raise BadRequest(f'invalid port "{text}"')
    if number > HIGHEST_PORT:
        raise BadRequest(f"invalid port {number}")
    return number or (443 if scheme == "https" else 80)


def _is_usable(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)
