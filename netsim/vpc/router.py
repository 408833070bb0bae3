"""The router: its namespace, a bridge per subnet, and the routes to nodes, pods and load balancers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Network

from netsim import address, link, namespace, route, sysctl
from netsim.mark import Mark
from netsim.names import NODE_MAC_PREFIX, hardware_address_of
from netsim.netlink import Netlink
from netsim.route import Route, RouteType
from netsim.vpc.plan import NodePlan, SubnetPlan, VpcPlan

_SYSCTLS = {
    "net.ipv4.ip_forward": 1,
    # A load balancer's connections stay on their node, and different ones of one client spread.
    "net.ipv4.fib_multipath_hash_policy": 1,
    # Node to node goes in and out by one bridge, which is meant so and no reason to redirect.
    "net.ipv4.conf.all.send_redirects": 0,
    "net.ipv4.conf.default.send_redirects": 0,
    "net.ipv4.conf.all.rp_filter": 0,
    "net.ipv4.conf.default.rp_filter": 0,
}

# Bridges forward nothing between nodes, so iptables has nothing to see there; absent where br_netfilter is not loaded.
_BRIDGE_SYSCTLS = ("net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables")


def ensure_router(plan: VpcPlan) -> None:
    """The router's namespace with its bridges, addresses and forwarding."""
    namespace.ensure_namespace(plan.router_namespace, plan.router_mark)
    with namespace.entered(plan.router_path), Netlink() as netlink:
        for name, value in _SYSCTLS.items():
            sysctl.ensure(name, value)
        for name in _BRIDGE_SYSCTLS:
            if sysctl.find(name) is not None:
                sysctl.ensure(name, 0)
        for subnet in plan.subnets:
            _ensure_bridge(netlink, plan, subnet)


def sync_routes(netlink: Netlink, plan: VpcPlan) -> None:
    """Routes to the pods of every node that is plugged in; what no node holds is unreachable, so that nothing loops."""
    wanted = _refusals(plan) | ({} if plan.overlay else _pod_routes(netlink))
    route.reconcile(netlink, wanted.values(), lambda found: found.protocol == route.PROTOCOL)


def sync_load_balancers(netlink: Netlink, balancers: Mapping[str, Iterable[str]]) -> None:
    """A multipath route to the given nodes' addresses for each load-balancer address, and none for others."""
    wanted = [
        Route(f"{balancer}/32", tuple(sorted(set(nodes))), protocol=route.BALANCER_PROTOCOL)
        for balancer, nodes in balancers.items()
        if nodes
    ]
    route.reconcile(netlink, wanted, lambda found: found.protocol == route.BALANCER_PROTOCOL)


def port_mark(plan: VpcPlan, node: NodePlan) -> Mark:
    """The mark of a node's port, with what its routes are made of."""
    return Mark(plan.cluster, "node", node.name, f"{node.address};{node.pod_range}")


def _ensure_bridge(netlink: Netlink, plan: VpcPlan, subnet: SubnetPlan) -> None:
    mac = hardware_address_of(subnet.gateway, NODE_MAC_PREFIX)
    bridge = link.ensure_bridge(netlink, subnet.bridge, address=mac, mtu=plan.mtu)
    prefixlen = IPv4Network(subnet.range).prefixlen
    wanted = [f"{subnet.gateway}/{prefixlen}"]
    if subnet is plan.subnets[0]:
        wanted.append(f"{plan.api_address}/32")
    netlink.send(*(address.new_address(bridge.index, each, replace=True) for each in wanted))


def _refusals(plan: VpcPlan) -> dict[str, Route]:
    # Of an overlay too: what the VPC does not know goes nowhere else either.
    pods = [each for subnet in plan.subnets for each in subnet.pod_ranges]
    ranges = [*pods, plan.service_range, plan.load_balancer_range]
    return {each: Route(each, type=RouteType.UNREACHABLE) for each in ranges}


def _pod_routes(netlink: Netlink) -> dict[str, Route]:
    """The routes that the ports of the nodes say."""
    wanted = {}
    for port in link.list_links(netlink):
        mark = Mark.parse(port.alias)
        if mark is not None and mark.role == "node" and mark.note:
            gateway, pod_range = mark.note.split(";")
            if pod_range:
                wanted[pod_range] = Route(pod_range, (gateway,))
    return wanted
