"""The ends that `netsim reach` connects: where connections are made from, and what is asked, as people select them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.api.kinds import NODE, POD, SERVICE
from controlplane.api.selectors import compile_labels
from controlplane.api.types import Object
from controlplane.explain.services import ServiceIndex
from controlplane.explain.world import NothingToExplain, World, find
from controlplane.policy.model import first_ipv4
from netsim.reach import Protocol

DEFAULT_PORT = 80
HOST = "host"


@dataclass(frozen=True, slots=True)
class Source:
    """Where connections are made from: a pod, which has a uid, a node, or the host, which has no node."""

    name: str
    node: str
    address: str
    uid: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked: an address and port. `ends` are the pods behind it, of which a Service may have several."""

    name: str
    address: str
    port: int
    ends: tuple[tuple[str, int], ...]
    service: bool = False


def sources(world: World, selections: Sequence[str], namespace: str) -> list[Source]:
    """The pods, nodes or host that are selected; with no selection every pod of the namespace, of all if that is ""."""
    found: dict[str, Source] = {}
    for selection in selections or [""]:
        kind, _, name = selection.partition("/")
        if selection == HOST:
            found[selection] = Source(selection, "", world.host_address())
            continue
        if kind == "node" and name:
            node = find(world, NODE, "", name)
            found[selection] = Source(selection, name, _internal(node))
            continue
        for pod in _pods(world, selection, namespace):
            metadata = pod["metadata"]
            address = _address(pod)
            if address:
                text = f"{metadata['namespace']}/{metadata['name']}"
                found[text] = Source(text, pod["spec"]["nodeName"], address, metadata["uid"])
    if not found:
        raise NothingToExplain(f"no pod with an address is selected by {' '.join(selections) or 'the namespace'}")
    return [found[name] for name in sorted(found)]


def targets(world: World, selections: Sequence[str], namespace: str, *, port: int, protocol: Protocol) -> list[Target]:
    """The pods, Services and addresses that are selected. `port` 0 is the first that a pod or Service declares."""
    found: dict[str, Target] = {}
    index = ServiceIndex(world)
    for selection in selections or [""]:
        kind, _, name = selection.partition("/")
        if first_ipv4([selection]):
            found[selection] = _at(index, selection, port=port, protocol=protocol)
            continue
        if kind in ("service", "svc") and name:
            of, _, name = name.rpartition(":") if ":" in name else (namespace, "", name)
            target = _service(world, index, of or "default", name, port=port, protocol=protocol)
            found[target.name] = target
            continue
        for pod in _pods(world, selection, namespace):
            address = _address(pod)
            if address:
                text = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
                number = port or _first_port(pod, protocol)
                found[text] = Target(text, address, number, ((address, number),))
    if not found:
        raise NothingToExplain(f"no pod with an address is selected by {' '.join(selections) or 'the namespace'}")
    return [found[name] for name in sorted(found)]


def _pods(world: World, selection: str, namespace: str) -> list[Object]:
    """`selection` is a label selector or pod/NAME, with "NAMESPACE:" before it or not."""
    kind, _, name = selection.partition("/")
    by_name = kind == "pod" and bool(name)
    text = name if by_name else selection
    of, separator, rest = text.partition(":")
    namespace, text = (of, rest) if separator else (namespace, text)
    if by_name:
        return [find(world, POD, namespace or "default", text)]
    takes = compile_labels(text)
    return [
        pod
        for pod in world.objects(POD)
        if namespace in ("", pod["metadata"]["namespace"]) and takes(pod["metadata"].get("labels") or {})
    ]


def _at(index: ServiceIndex, address: str, *, port: int, protocol: Protocol) -> Target:
    """An address, which may be one of a Service's, or lead to one by a node port."""
    for ports in index.ports.values():
        for found in ports:
            fronted = address in found.addresses and port in (0, found.port)
            if found.protocol == protocol and (fronted or (port and port == found.node_port)):
                ends = tuple((each.ip, each.port) for each in index.endpoints(found) if each.ready)
                return Target(address, address, port or found.port, ends, service=True)
    number = port or DEFAULT_PORT
    return Target(address, address, number, ((address, number),))


def _service(world: World, index: ServiceIndex, namespace: str, name: str, *, port: int, protocol: Protocol) -> Target:
    find(world, SERVICE, namespace, name)
    text = f"service/{namespace}/{name}"
    ports = index.ports[namespace, name]
    for found in ports:
        if found.protocol == protocol and port in (0, found.port):
            ends = tuple((each.ip, each.port) for each in index.endpoints(found) if each.ready)
            return Target(text, found.cluster_ip, found.port, ends, service=True)
    known = ", ".join(f"{each.port}/{each.protocol}" for each in ports) or "none that a proxy serves"
    raise NothingToExplain(f"Service {namespace}/{name} has no {protocol} port {port or ''}; its ports: {known}")


def _first_port(pod: Object, protocol: Protocol) -> int:
    for container in pod["spec"]["containers"]:
        for port in container.get("ports") or ():
            if port.get("protocol", "TCP").lower() == protocol:
                return int(port["containerPort"])
    return DEFAULT_PORT


def _address(pod: Object) -> str:
    return first_ipv4(each["ip"] for each in (pod.get("status") or {}).get("podIPs") or ())


def _internal(node: Object) -> str:
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((each["address"] for each in addresses if each["type"] == "InternalIP"), "")
