"""What a VPC should be: pure data, made of text and numbers, so that it can be written to a file as it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from netsim.mark import Mark
from netsim.names import fitted
from netsim.namespace import namespace_path

ROUTER = "router"
UPLINK = "uplink"
NODE_NIC = "eth0"


@dataclass(frozen=True, slots=True)
class SubnetPlan:
    """A subnet: the nodes' range with the router's address in it, and the range that pods' ranges are taken from."""

    name: str
    range: str
    gateway: str
    pod_range: str

    @property
    def bridge(self) -> str:
        """The bridge's name in the router."""
        return fitted(f"br-{self.name}")


@dataclass(frozen=True, slots=True)
class NodePlan:
    """A node: its one address in a subnet, and the range of its pods."""

    name: str
    subnet: str
    address: str
    pod_range: str

    @property
    def port(self) -> str:
        """The name of the router's end of the node's NIC."""
        return fitted(f"nic-{self.name}")


@dataclass(frozen=True, slots=True)
class VpcPlan:
    """A whole VPC but for its nodes, which come and go.

    `api_address` is the router's second address in the first subnet. `egress` lets the VPC reach out by the host.
    `host_link` is the /30 between host and router; empty, a free one is chosen when the link is made.
    """

    cluster: str
    subnets: tuple[SubnetPlan, ...]
    service_range: str
    load_balancer_range: str
    api_address: str
    mtu: int = 1460
    egress: bool = True
    host_link: str = ""

    def subnet(self, name: str) -> SubnetPlan:
        """The subnet of that name; KeyError if there is none."""
        for subnet in self.subnets:
            if subnet.name == name:
                return subnet
        raise KeyError(name)

    @property
    def host_ranges(self) -> tuple[str, ...]:
        """The ranges that the host reaches by the router: nodes and pods; load balancers have a route an address."""
        return tuple(address_range for subnet in self.subnets for address_range in (subnet.range, subnet.pod_range))

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
