"""The ends that `netsim reach` connects: where connections are made from, and what is asked, as people select them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from controlplane.api.kinds import NODE
from controlplane.api.types import Object
from controlplane.config import ResolvedCluster
from controlplane.explain.reach import Source, Target
from controlplane.explain.services import ServiceIndex
from controlplane.explain.world import World, find
from controlplane.policy.model import first_ipv4
from netsim.reach import Protocol
from workbench.places.selection import OUTSIDE, NoSuchPlace, Selection, is_headless, place_name, select

DEFAULT_PORT = 80
_End = TypeVar("_End")


def sources(world: World, cluster: ResolvedCluster, said: Sequence[str], namespace: str) -> list[Source]:
    """The pods, nodes or host that are selected; of nothing every pod of the namespace, of all if that is "".

    Raises `NoSuchPlace`.
    """
    found: dict[str, Source] = {}
    for text in said or [_every(namespace)]:
        if text == OUTSIDE:
            found[text] = Source(text, "", world.host_address())
            continue
        selection = select(world, cluster, text, namespace)
        for name in selection.nodes:
            found[f"node/{name}"] = Source(f"node/{name}", name, _internal(find(world, NODE, "", name)))
        for name, address, pod in _addressed(selection):
            found[name] = Source(name, pod["spec"]["nodeName"], address, pod["metadata"]["uid"])
    return _sorted(found, said)


def targets(
    world: World, cluster: ResolvedCluster, said: Sequence[str], namespace: str, *, port: int, protocol: Protocol
) -> list[Target]:
    """The pods, Services, nodes and addresses that are selected. `port` 0 is the first that a pod or Service declares.

    Raises `NoSuchPlace`.
    """
    found: dict[str, Target] = {}
    index = ServiceIndex(world)
    for text in said or [_every(namespace)]:
        if first_ipv4([text]):
            found[text] = _at(index, text, port=port, protocol=protocol)
            continue
        selection = select(world, cluster, text, namespace)
        if selection.service is not None and not is_headless(selection.service):
            target = _service(index, selection.service, port=port, protocol=protocol)
            found[target.name] = target
            continue
        for name in selection.nodes:
            address = _internal(find(world, NODE, "", name))
            node = _at(index, address, port=port, protocol=protocol)
            found[f"node/{name}"] = replace(node, name=f"node/{name}")
        for name, address, pod in _addressed(selection):
            number = port or _first_port(pod, protocol)
            found[name] = Target(name, address, number, ((address, number),))
    return _sorted(found, said)


def _every(namespace: str) -> str:
    return f"namespace/{namespace}" if namespace else "all"


def _addressed(selection: Selection) -> list[tuple[str, str, Object]]:
    """Name, address and object of the pods."""
    return [(place_name("pod", pod), _address(pod), pod) for pod in selection.pods if _address(pod)]


def _sorted(found: dict[str, _End], said: Sequence[str]) -> list[_End]:
    if not found:
        raise NoSuchPlace(f"no pod with an address is selected by {' '.join(said) or 'the namespace'}")
    return [found[name] for name in sorted(found)]


def _at(index: ServiceIndex, address: str, *, port: int, protocol: Protocol) -> Target:
    """An address, which may be one of a Service's, or lead to one by a node port."""
    for ports in index.ports.values():
        for found in ports:
            fronted = address in found.addresses and port in (0, found.port)
            if found.protocol == protocol and (fronted or (port and port == found.node_port)):
                ends = tuple((each.ip, each.port) for each in index.endpoints(found) if each.ready)
                outside = "" if address == found.cluster_ip else None
                return Target(address, address, port or found.port, ends, service=True, outside=outside)
    number = port or DEFAULT_PORT
    return Target(address, address, number, ((address, number),))


def _service(index: ServiceIndex, service: Object, *, port: int, protocol: Protocol) -> Target:
    namespace, name = service["metadata"]["namespace"], service["metadata"]["name"]
    text = place_name("service", service)
    ports = index.ports[namespace, name]
    for found in ports:
        if found.protocol == protocol and port in (0, found.port):
            ends = tuple((each.ip, each.port) for each in index.endpoints(found) if each.ready)
            outside = next(iter((*found.load_balancer_ips, *found.external_ips)), "")
            return Target(text, found.cluster_ip, found.port, ends, service=True, outside=outside)
    known = ", ".join(f"{each.port}/{each.protocol}" for each in ports) or "none that a proxy serves"
    wanted = f"{protocol} port {port}" if port else f"{protocol} port"
    raise NoSuchPlace(f"Service {namespace}/{name} has no {wanted}; its ports: {known}")


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
