"""What a VPC should be: pure data, made of text and numbers, so that it can be written to a file as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netsim.mark import Mark
from netsim.names import fitted
from netsim.namespace import namespace_path
from netsim.vpc.policy import FirewallRule, PathRule, StaticRoute

ROUTER = "router"
UPLINK = "uplink"
NODE_NIC = "eth0"


@dataclass(frozen=True, slots=True)
class SubnetPlan:
    """A subnet: the nodes' range with the router's address in it, and the range that pods' ranges are taken from.

    `pod_range` is empty where no pods are to be, `secondary_ranges` are further ones. `egress` lets it reach out by
    the host, if the VPC does.
    """

    name: str
    range: str
    gateway: str
    pod_range: str
    region: str = ""
    secondary_ranges: tuple[str, ...] = ()
    egress: bool = True

    @property
    def bridge(self) -> str:
        """The bridge's name in the router."""
        return fitted(f"br-{self.name}")

    @property
    def pod_ranges(self) -> tuple[str, ...]:
        """All ranges that pods have addresses of."""
        return (*((self.pod_range,) if self.pod_range else ()), *self.secondary_ranges)


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node: its one address in a subnet, and the range of its pods, empty if there was none left to give."""

    name: str
    subnet: str
    address: str
    pod_range: str
    zone: str = ""
    tags: tuple[str, ...] = ()

    @property
    def port(self) -> str:
        """The name of the router's end of the node's NIC."""
        return fitted(f"nic-{self.name}")

    @property
    def sources(self) -> tuple[str, ...]:
        """What the node sends from: its own address and those of its pods."""
        return (f"{self.address}/32", *((self.pod_range,) if self.pod_range else ()))


@dataclass(frozen=True, slots=True)
class VpcPlan:
    """A whole VPC but for its nodes, which come and go.

    `api_address` is the router's second address in the first subnet. `egress` lets the VPC reach out by the host.
    `host_link` is the /30 between host and router; empty, a free one is chosen when the link is made. With `overlay`
    pods of different nodes reach each other by vxlan, and the VPC knows nothing of their addresses. Without `offloads`
    no link of it leaves a checksum open.
    """

    cluster: str
    subnets: tuple[SubnetPlan, ...]
    service_range: str
    load_balancer_range: str
    api_address: str
    mtu: int = 1460
    offloads: bool = True
    egress: bool = True
    host_link: str = ""
    overlay: bool = False
    firewall: tuple[FirewallRule, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    paths: tuple[PathRule, ...] = ()

    def subnet(self, name: str) -> SubnetPlan:
        """The subnet of that name; KeyError if there is none."""
        for subnet in self.subnets:
            if subnet.name == name:
                return subnet
        raise KeyError(name)

    @property
    def host_ranges(self) -> tuple[str, ...]:
        """The ranges that the host reaches by the router: nodes and pods; load balancers have a route an address."""
        return tuple(each for subnet in self.subnets for each in (subnet.range, *subnet.pod_ranges))

    @property
    def has_egress(self) -> bool:
        """Whether any subnet reaches out by the host."""
        return self.egress and any(subnet.egress for subnet in self.subnets)

    def ranges_of(self, subnet: SubnetPlan) -> tuple[str, ...]:
        """A subnet's addresses, as the VPC knows them: nodes and pods."""
        return (subnet.range, *self.routed_pod_ranges(subnet))

    def routed_pod_ranges(self, subnet: SubnetPlan) -> tuple[str, ...]:
        """The pods' ranges that the VPC routes: none of an overlay."""
        return () if self.overlay else subnet.pod_ranges

    @property
    def router_namespace(self) -> str:
        """The router's name under /run/netns."""
        return f"{self.cluster}-{ROUTER}"

    @property
    def router_path(self) -> Path:
        """Where the router's namespace is pinned."""
        return namespace_path(self.router_namespace)

    @property
    def router_mark(self) -> Mark:
        """The mark of the router's namespace."""
        return Mark(self.cluster, ROUTER, ROUTER)

    def node_namespace(self, node: str) -> str:
        """A node's name under /run/netns."""
        return f"{self.cluster}-{node}"

    def node_path(self, node: str) -> Path:
        """Where a node's namespace is pinned."""
        return namespace_path(self.node_namespace(node))

    def node_mark(self, node: str) -> Mark:
        """The mark of a node's namespace."""
        return Mark(self.cluster, "node", node)
