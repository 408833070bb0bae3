"""Which links to look at for what was selected: `pod`, `veth`, `bridge`, `node` and `router`, in a packet's order.

For a pod these are its own end of the pair, the node's end, the node's bridge, the node's NIC and the router's end of
that NIC. A pod on its node's network has the node's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from controlplane.api.types import Object
from controlplane.config import ResolvedCluster
from controlplane.directories import Directories
from controlplane.fabric import node_plan, vpc_plan
from controlplane.sandboxes import netns_of
from netsim import link, namespace
from netsim.capture import Point
from netsim.errors import NotFound
from netsim.netlink import Netlink
from netsim.vpc.plan import NODE_NIC, ROUTER, UPLINK
from workbench.places.selection import NoSuchPlace, Selection, place_name

PLACES = ("pod", "veth", "bridge", "node", "router")
_OF_PODS = {"pod", "veth"}
_BRIDGE = "cbr0"


def points_of(
    selection: Selection, places: Sequence[str], cluster: ResolvedCluster, directories: Directories
) -> list[Point]:
    """The points of a selection, each link once. No `places`: where the selected is itself. Raises `NoSuchPlace`."""
    return points_of_each([selection], places, cluster, directories)


def points_of_each(
    selections: Sequence[Selection], places: Sequence[str], cluster: ResolvedCluster, directories: Directories
) -> list[Point]:
    """The points of several selections, in their order, each link once. Raises `NoSuchPlace` if there is none."""
    wanted = set(PLACES if "all" in places else places)
    found = each_once(point for one in selections for point in _in_order(one, wanted, cluster, directories))
    if not found:
        said, where = (", ".join(texts) for texts in ([one.text for one in selections], sorted(wanted)))
        off = sorted({why for one in selections for why in _switched_off(one, cluster)})
        because = f": {', '.join(off)}" if off else ""
        raise NoSuchPlace(f"{said} selects nothing that has a {where or 'network'} at this moment{because}")
    return found


def each_once(points: Iterable[Point]) -> list[Point]:
    """The points without those whose link came before."""
    found: dict[tuple[Path, str], Point] = {}
    for point in points:
        found.setdefault((point.netns, point.ifname), point)
    return list(found.values())


def netns_of_pod(pod: Object, cluster: ResolvedCluster, directories: Directories) -> Path:
    """The path of the network namespace that a pod is in. Raises `NoSuchPlace`."""
    name = pod["metadata"]["name"]
    if pod["spec"].get("hostNetwork"):
        return node_netns(cluster, pod["spec"]["nodeName"])
    found = netns_of(directories, pod["spec"]["nodeName"], pod["metadata"]["uid"])
    if not found:
        _require_running(cluster, pod["spec"]["nodeName"])
        raise NoSuchPlace(f"pod {name} has no namespace on node {pod['spec']['nodeName']}")
    return namespace.namespace_path(found)


def node_netns(cluster: ResolvedCluster, node: str) -> Path:
    """The path of a node's network namespace. Raises `NoSuchPlace` if the node is switched off."""
    _require_running(cluster, node)
    return namespace.namespace_path(f"{cluster.name}-{node}")


def _require_running(cluster: ResolvedCluster, node: str) -> None:
    state = next((each.state for each in cluster.nodes if each.name == node), "running")
    if state != "running":
        raise NoSuchPlace(f"node {node} does not run: it is {state}")


def _switched_off(selection: Selection, cluster: ResolvedCluster) -> Iterable[str]:
    names = {*selection.nodes, *(pod["spec"]["nodeName"] for pod in selection.pods)}
    return (
        f"node {node.name} is {node.state}" for node in cluster.nodes if node.name in names and node.state != "running"
    )


def _in_order(
    selection: Selection, wanted: set[str], cluster: ResolvedCluster, directories: Directories
) -> Sequence[Point]:
    """Each link once, a node's behind all of its pods."""
    found = list(_found(selection, wanted, cluster, directories))
    return each_once(found[::-1])[::-1]


def _found(
    selection: Selection, wanted: set[str], cluster: ResolvedCluster, directories: Directories
) -> Iterable[Point]:
    for pod in selection.pods:
        yield from _of_pod_that_stays(pod, wanted or {"pod"}, cluster, directories)
    for pod in selection.residents if wanted & _OF_PODS else ():
        yield from _of_pod_that_stays(pod, wanted & _OF_PODS, cluster, directories)
    for node in selection.nodes:
        yield from _of_node(node, wanted or {"node"}, cluster)
    if selection.router:
        yield from (_router(cluster, name) for name in (UPLINK, *(each.bridge for each in vpc_plan(cluster).subnets)))


def _of_pod_that_stays(
    pod: Object, places: set[str], cluster: ResolvedCluster, directories: Directories
) -> Sequence[Point]:
    try:
        return list(_of_pod(pod, places, cluster, directories))
    except NoSuchPlace:
        # It has gone since it was listed, as pods of a Deployment do that is rolled out.
        return []


def _of_pod(pod: Object, places: set[str], cluster: ResolvedCluster, directories: Directories) -> Iterable[Point]:
    metadata, node = pod["metadata"], pod["spec"]["nodeName"]
    if pod["spec"].get("hostNetwork"):
        yield from _of_node(node, {"node"} | places & {"router"}, cluster)
        return
    name = f"{metadata['namespace']}/{metadata['name']}"
    inside = netns_of_pod(pod, cluster, directories)
    if "pod" in places:
        yield Point(inside, NODE_NIC, place_name("pod", pod), f"pod {name} on {node}, inside the pod")
    if "veth" in places:
        ifname = _outer_end(inside, node_netns(cluster, node))
        yield Point(node_netns(cluster, node), ifname, place_name("veth", pod), f"pod {name} on {node}, the node's end")
    yield from _of_node(node, places, cluster)


def _of_node(node: str, places: set[str], cluster: ResolvedCluster) -> Iterable[Point]:
    inside = node_netns(cluster, node)
    if "bridge" in places and _has_link(inside, _BRIDGE):
        yield Point(inside, _BRIDGE, f"bridge/{node}", f"bridge of the pods of {node}")
    if "node" in places:
        yield Point(inside, NODE_NIC, f"node/{node}", f"NIC of {node}")
    if "router" in places:
        resolved = next(each for each in cluster.nodes if each.name == node)
        port = node_plan(resolved).port
        yield Point(_router_netns(cluster), port, f"router/{node}", f"the router's end of the NIC of {node}")


def _router(cluster: ResolvedCluster, ifname: str) -> Point:
    return Point(_router_netns(cluster), ifname, f"router/{ifname}", f"link {ifname} of the VPC's router")


def _router_netns(cluster: ResolvedCluster) -> Path:
    return namespace.namespace_path(f"{cluster.name}-{ROUTER}")


def _has_link(netns: Path, ifname: str) -> bool:
    """A node that has never had a pod has no bridge."""
    try:
        with namespace.entered(netns), Netlink() as netlink:
            link.get_link(netlink, ifname)
    except NotFound:
        return False
    return True


def _outer_end(inside: Path, node: Path) -> str:
    try:
        with namespace.entered(inside), Netlink() as netlink:
            peer = link.get_link(netlink, NODE_NIC).peer
        with namespace.entered(node), Netlink() as netlink:
            return next(found.ifname for found in link.list_links(netlink) if found.index == peer)
    except (NotFound, StopIteration) as error:
        raise NoSuchPlace(f"{inside.name} has no {NODE_NIC} that leads to its node") from error
