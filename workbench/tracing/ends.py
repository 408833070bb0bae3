"""Where a trace begins and where it goes, from what a person wrote."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address
from pathlib import Path

from controlplane.api.kinds import POD, SERVICE
from controlplane.api.types import Object
from controlplane.config import ResolvedCluster
from controlplane.directories import Directories
from controlplane.explain.world import World
from workbench.places import NoSuchPlace, Selection, select
from workbench.places.addresses import addresses_of
from workbench.places.points import netns_of_pod, node_netns
from workbench.places.selection import OUTSIDE, is_headless, is_networked, place_name

_HOST_NETNS = Path("/proc/self/ns/net")
_ADDRESS = re.compile(r"(?P<place>.+?)(?::(?P<port>[a-z0-9-]+))?")


@dataclass(frozen=True, slots=True)
class Source:
    """`pod` is None for a node or the outside."""

    name: str
    netns: Path
    pod: Object | None = None
    node: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """`selection` is what was meant, empty for an address."""

    name: str
    address: str
    port: int
    selection: Selection


def read_ends(
    world: World, cluster: ResolvedCluster, directories: Directories, said: tuple[str, str], namespace: str
) -> tuple[Source, Target]:
    """The two ends of a trace. Raises `NoSuchPlace`."""
    source = _source(world, cluster, directories, said[0], namespace)
    target = _target(world, cluster, said[1], namespace)
    return source, _from_outside(target) if source.name == OUTSIDE else target


def _source(world: World, cluster: ResolvedCluster, directories: Directories, said: str, namespace: str) -> Source:
    if said == OUTSIDE:
        return Source(OUTSIDE, _HOST_NETNS)
    selection = select(world, cluster, said, namespace)
    if selection.pods:
        pod = selection.pods[0]
        inside = netns_of_pod(pod, cluster, directories)
        return Source(place_name("pod", pod), inside, pod, pod["spec"]["nodeName"])
    if selection.nodes:
        node = selection.nodes[0]
        return Source(f"node/{node}", node_netns(cluster, node), None, node)
    raise NoSuchPlace(f"{said} is nowhere that a packet could be sent from; take a pod, a node or {OUTSIDE}")


def _target(world: World, cluster: ResolvedCluster, said: str, namespace: str) -> Target:
    match = _ADDRESS.fullmatch(said)
    assert match is not None
    place, port = match["place"], match["port"] or ""
    try:
        address = str(IPv4Address(place))
    except AddressValueError:
        selection = select(world, cluster, place, namespace)
        return _selected(world, cluster, selection, port)
    return Target(said, address, _number(port, said), _behind(world, said, address, _number(port, said)))


def _from_outside(target: Target) -> Target:
    """Who is outside knows a Service by its load-balancer address: the others lead nowhere there."""
    service = target.selection.service
    if service is None or target.address not in service["spec"].get("clusterIPs", ()):
        return target
    ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or ()
    if not ingress:
        raise NoSuchPlace(
            f"{target.name} has no address that is known outside; take a node and its node port, as node/node-1:30080"
        )
    return replace(target, address=ingress[0]["ip"])


def _selected(world: World, cluster: ResolvedCluster, selection: Selection, port: str) -> Target:
    service = selection.service
    if service is not None:
        return _service(service, selection, port)
    if selection.pods:
        pod = selection.pods[0]
        return Target(place_name("pod", pod), pod["status"]["podIP"], _pod_port(pod, port), selection)
    if selection.nodes:
        node = next(node for node in cluster.nodes if node.name == selection.nodes[0])
        number = _number(port, selection.text)
        return Target(f"node/{node.name}", str(node.address), number, _behind(world, selection.text, "", number))
    raise NoSuchPlace(f"{selection.text} has no pod at this moment")


def _behind(world: World, said: str, address: str, port: int) -> Selection:
    """The pods that a node port, or an address of a Service, leads to."""
    for service in world.objects(SERVICE):
        if address in addresses_of(service) or (not address and port in _node_ports(service)):
            chosen = (service["spec"].get("selector") or {}).items()
            same = [
                pod for pod in world.objects(POD) if pod["metadata"]["namespace"] == service["metadata"]["namespace"]
            ]
            pods = [pod for pod in same if chosen and chosen <= (pod["metadata"].get("labels") or {}).items()]
            return Selection(said, tuple(pod for pod in pods if is_networked(pod)), service=service)
    return Selection(said)


def _node_ports(service: Object) -> set[int]:
    return {each.get("nodePort", 0) for each in service["spec"].get("ports") or ()}


def _service(service: Object, selection: Selection, port: str) -> Target:
    spec, name = service["spec"], place_name("service", service)
    address = spec.get("clusterIP", "")
    ports = spec.get("ports") or []
    if is_headless(service):
        if not selection.pods:
            raise NoSuchPlace(f"{name} is headless and has no pod at this moment")
        pod = selection.pods[0]
        return Target(name, pod["status"]["podIP"], _pod_port(pod, port), selection)
    if not port and ports:
        return Target(name, address, ports[0]["port"], selection)
    named = {each.get("name"): each["port"] for each in ports}
    if not port.isdigit() and port not in named:
        raise NoSuchPlace(f"{name} has no port {port}; its ports: {ports_of(service)}")
    return Target(name, address, named.get(port) or _number(port, name), selection)


def ports_of(service: Object) -> str:
    """The ports of a Service in words."""
    said = (
        f"{each['port']}/{each.get('protocol', 'TCP')}" + (f" ({each['name']})" if each.get("name") else "")
        for each in service["spec"].get("ports") or ()
    )
    return ", ".join(said) or "none"


def _pod_port(pod: Object, port: str) -> int:
    declared = [each for container in pod["spec"]["containers"] for each in container.get("ports", ())]
    if not port:
        return int(declared[0]["containerPort"]) if declared else 80
    named = {each.get("name"): each["containerPort"] for each in declared}
    return int(named.get(port) or _number(port, pod["metadata"]["name"]))


def _number(port: str, said: str) -> int:
    if not port:
        return 80
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise NoSuchPlace(f"{said}: there is no port {port}")
    return int(port)
