"""A node's place in the VPC: its namespace, its NIC in the subnet's bridge, its address and its way out.

The routes of its pods are the router's (`netsim.vpc.router.sync_routes`), and what is inside the node besides
its NIC belongs to others.
"""

from __future__ import annotations

import errno

from netsim import address, link, namespace, offload, route, syscalls, sysctl
from netsim.errors import AlreadyExists
from netsim.names import NODE_MAC_PREFIX, hardware_address, hardware_address_of
from netsim.netlink import Netlink, Request
from netsim.route import Route
from netsim.vpc.plan import NODE_NIC, NodePlan, VpcPlan
from netsim.vpc.router import port_mark

_SYSCTLS = {
    "net.ipv4.ip_forward": 1,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
}
# Service rules have to see what goes from pod to pod within one bridge; absent where br_netfilter is not loaded.
_BRIDGE_SYSCTLS = {"net.bridge.bridge-nf-call-iptables": 1, "net.bridge.bridge-nf-call-ip6tables": 1}


def ensure_node(router: Netlink, plan: VpcPlan, node: NodePlan) -> int:
    """The node's namespace and NIC; on a node that is there already nothing is taken down.

    Returns how often the NIC has lost its carrier until now.
    """
    namespace.ensure_namespace(plan.node_namespace(node.name), plan.node_mark(node.name))
    with namespace.entered(plan.node_path(node.name)):
        _set_sysctls()
        with Netlink() as inside:
            _ensure_nic(router, inside, plan, node)
            _ensure_way_out(inside, plan, node)
            return link.get_link(inside, NODE_NIC).outages


def restore_way_out(plan: VpcPlan, node: NodePlan, outages: int) -> int:
    """What a machine's own network service does when its link is back: the kernel took the routes with it.

    Of `outages`, and of those until now, which are returned, it sees whether it has been away. A link that is down, or
    missing, stays so, and so do routes that went without it: somebody means it.
    """
    with namespace.entered(plan.node_path(node.name)), Netlink() as inside:
        nic = link.find_link(inside, NODE_NIC)
        if nic is None or not nic.up:
            return outages
        if nic.outages != outages:
            _ensure_way_out(inside, plan, node)
        return nic.outages


def delete_node(router: Netlink, plan: VpcPlan, name: str) -> None:
    """Unplugs the node and lets go of its namespace; absent is no error."""
    link.delete_link(router, NodePlan(name, "", "", "").port)
    namespace.delete_namespace(plan.node_namespace(name))


def _set_sysctls() -> None:
    for name, value in _SYSCTLS.items():
        sysctl.ensure(name, value)
    for name, value in _BRIDGE_SYSCTLS.items():
        if sysctl.find(name) is not None:
            sysctl.ensure(name, value)


def _ensure_nic(router: Netlink, inside: Netlink, plan: VpcPlan, node: NodePlan) -> None:
    bridge = link.get_link(router, plan.subnet(node.subnet).bridge)
    port, nic = link.find_link(router, node.port), link.find_link(inside, NODE_NIC)
    if port is not None and (nic is None or nic.peer != port.index):
        # A node deleted and made again in one breath: its old namespace may not be gone, but the port is of no use.
        link.delete_link(router, node.port)
        port = None
    if port is None:
        if nic is not None:
            raise AlreadyExists(
                f"create {NODE_NIC} of node {node.name}", errno.EEXIST, "there is one that is not plugged in"
            )
        _create_nic(router, plan, node, bridge.index)
    elif port.mtu != plan.mtu or port.master != bridge.index or port.alias != port_mark(plan, node).alias():
        router.send(_port_change(plan, node, bridge.index))
    inside.send(link.change(NODE_NIC, up=True, mtu=plan.mtu))
    if not plan.offloads:
        offload.turn_off(NODE_NIC)


def _create_nic(router: Netlink, plan: VpcPlan, node: NodePlan, bridge: int) -> None:
    with syscalls.opened("/proc/thread-self/ns/net") as here:
        pair = link.new_veth(
            node.port,
            NODE_NIC,
            mtu=plan.mtu,
            peer_netns=here,
            address=hardware_address(plan.cluster, node.name),
            peer_address=hardware_address_of(node.address, NODE_MAC_PREFIX),
            master=bridge,
        )
        router.send(pair, _port_change(plan, node, bridge), link.bridge_port(node.port, hairpin=False, isolated=True))


def _port_change(plan: VpcPlan, node: NodePlan, bridge: int) -> Request:
    return link.change(node.port, alias=port_mark(plan, node).alias(), mtu=plan.mtu, master=bridge)


def _ensure_way_out(inside: Netlink, plan: VpcPlan, node: NodePlan) -> None:
    nic = link.get_link(inside, NODE_NIC)
    gateway = plan.subnet(node.subnet).gateway
    inside.send(address.new_address(nic.index, f"{node.address}/32", replace=True))
    ways = [
        Route(f"{gateway}/32", index=nic.index, source=node.address),
        Route("0.0.0.0/0", (gateway,), index=nic.index, source=node.address),
    ]
    route.reconcile(inside, ways, lambda found: found.protocol == route.PROTOCOL)
