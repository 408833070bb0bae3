"""A pod network over vxlan, as flannel makes it: pods of different nodes reach each other without the VPC's knowledge.

Each node has a link `flannel.1` (VNI 1, UDP port 8472) that sends by its NIC, with the first address of its pods'
range; for each other node a route to its pods' range by that address, a permanent neighbour for it and an entry that
says behind which node its MAC address is. What pods send elsewhere gets their node's address, in FLANNEL-POSTRTG.
The router, which is where the API server and the host are, has such a link too and sends by it; what pods answer comes
back by their node's NIC.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network

from netsim import address, firewall, link, neighbour, offload, route
from netsim.link import Link
from netsim.names import hardware_address
from netsim.neighbour import Neighbour
from netsim.netlink import Netlink
from netsim.route import Route
from netsim.vpc.plan import NODE_NIC, ROUTER, NodePlan, VpcPlan

VTEP = "flannel.1"
VNI = 1
PORT = 8472
OVERHEAD = 50
_CHAIN = "FLANNEL-POSTRTG"
_JUMP = f'-A POSTROUTING -m comment --comment "flanneld masq" -j {_CHAIN}'
_COMMENT = '-m comment --comment "flanneld masq"'
_MASQUERADE = f"{_COMMENT} -j MASQUERADE --random-fully"


def sync_node(netlink: Netlink, plan: VpcPlan, node: NodePlan, nodes: Iterable[NodePlan]) -> None:
    """What a node has of the overlay, in its namespace, which the calling thread is in."""
    if not node.pod_range:
        link.delete_link(netlink, VTEP)
        return
    vtep = _ensure_vtep(netlink, plan, node.name, link.get_link(netlink, NODE_NIC), node.address)
    netlink.send(address.new_address(vtep.index, f"{_inner(node)}/32", replace=True))
    if not plan.offloads:
        offload.turn_off(VTEP)
    _sync_peers(netlink, plan, vtep, [each for each in nodes if each.name != node.name and each.pod_range])


def sync_router(netlink: Netlink, plan: VpcPlan, nodes: Iterable[NodePlan]) -> None:
    """What the router has of it."""
    bridge = link.get_link(netlink, plan.subnets[0].bridge)
    vtep = _ensure_vtep(netlink, plan, ROUTER, bridge, plan.api_address)
    _sync_peers(netlink, plan, vtep, [each for each in nodes if each.pod_range])


def ensure_masquerade(plan: VpcPlan, node: NodePlan) -> None:
    """FLANNEL-POSTRTG of a node, in its namespace, which the calling thread is in; it knows nothing of other nodes."""
    if not node.pod_range:
        return
    text = masquerade_text(plan, node)
    if _JUMP not in firewall.save("nat").splitlines():
        text = text.replace("COMMIT", f"{_JUMP}\nCOMMIT")
    firewall.restore(text)


def masquerade_text(plan: VpcPlan, node: NodePlan) -> str:
    """The rules of FLANNEL-POSTRTG for a node, as input for iptables-restore."""
    ranges, own = [each for subnet in plan.subnets for each in subnet.pod_ranges], node.pod_range
    # With one range for all pods these are flannel's own lines; with several "not from pods" cannot be said in one.
    strangers = f"! -s {ranges[0]} -d" if len(ranges) == 1 else "-d"
    rules = [
        f"-m mark --mark 0x4000/0x4000 {_COMMENT} -j RETURN",
        *(f"-s {own} -d {each} {_COMMENT} -j RETURN" for each in ranges),
        *(f"-s {each} -d {own} {_COMMENT} -j RETURN" for each in ranges),
        f"{strangers} {own} {_COMMENT} -j RETURN",
        *(f"-s {each} ! -d 224.0.0.0/4 {_MASQUERADE}" for each in ranges),
        *(f"{strangers} {each} {_MASQUERADE}" for each in ranges),
    ]
    return "\n".join(["*nat", f":{_CHAIN} - [0:0]", *(f"-A {_CHAIN} {rule}" for rule in rules), "COMMIT"]) + "\n"


def _ensure_vtep(netlink: Netlink, plan: VpcPlan, owner: str, below: Link, local: str) -> Link:
    found = link.find_link(netlink, VTEP)
    mtu = plan.mtu - OVERHEAD
    if found is None:
        netlink.send(
            link.new_vxlan(VTEP, vni=VNI, port=PORT, local=local, below=below.index),
            link.change(VTEP, address=_mac(plan, owner), mtu=mtu),
            link.change(VTEP, up=True),
        )
        return link.get_link(netlink, VTEP)
    if not found.up or found.mtu != mtu:
        netlink.send(link.change(VTEP, mtu=mtu, up=True))
    return found


def _sync_peers(netlink: Netlink, plan: VpcPlan, vtep: Link, peers: Sequence[NodePlan]) -> None:
    told = [Neighbour(_inner(peer), _mac(plan, peer.name)) for peer in peers]
    told += [neighbour.forwarding(_mac(plan, peer.name), peer.address) for peer in peers]
    neighbour.reconcile(netlink, vtep.index, told)
    ways = [
        Route(peer.pod_range, (_inner(peer),), index=vtep.index, onlink=True, protocol=route.OVERLAY_PROTOCOL)
        for peer in peers
    ]
    route.reconcile(netlink, ways, lambda found: found.protocol == route.OVERLAY_PROTOCOL)


def _inner(node: NodePlan) -> str:
    """The address of a node's link: the first of its pods' range, which no pod has."""
    return str(IPv4Network(node.pod_range).network_address)


def _mac(plan: VpcPlan, owner: str) -> str:
    return hardware_address(plan.cluster, owner, VTEP)
