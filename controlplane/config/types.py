"""The two types of a cluster's configuration: as written, and resolved. Plain data, no YAML and no kernel.

Network words are those of a VPC-native cluster: a subnet has a primary range, from which nodes take their address,
and a secondary range, from which each node takes the range of its pods.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any, Literal

from controlplane.config.errors import ConfigError
from netsim.vpc.policy import FirewallRule, PathRule, StaticRoute

DEFAULT_NAME = "netsim"
DEFAULT_REGION = "us-central1"
CLUSTER_FILE = "cluster.json"

Mode = Literal["custom", "auto"]
"""Whether subnets are those that are written, or one a region with ranges that are known beforehand."""
PodNetwork = Literal["routed", "vxlan"]
VXLAN_BYTES = 50
"""What an IPv4 packet grows by when it is sent by vxlan: IPv4, UDP, VXLAN and Ethernet headers."""
Egress = Literal["nat", "none"]
VolumeKind = Literal["image", "directory"]
"""What the cloud's disks are: images that hold no more than their size, or plain directories."""
NodeState = Literal["running", "stopped", "crashed", "leaving"]
"""What a node's machine does. "leaving": it is being removed, and is again where that was cut off."""
MissingImage = Literal["standin", "pull", "error"]


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """A node as written. None: the first subnet, zone `a` of the subnet's region, and the host's own size.

    `cpu` and `memory` are quantities that the node says it has; `taints` are those that it registers with. `tags` are
    the network's, for firewall rules and routes. `pod_range` names a secondary range of the subnet, None its podRange.
    """

    name: str
    subnet: str | None = None
    zone: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    cpu: str | None = None
    memory: str | None = None
    max_pods: int | None = None
    taints: tuple[Mapping[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    machine_type: str | None = None
    pod_range: str | None = None


@dataclass(frozen=True, slots=True)
class SubnetConfig:
    """A subnet as written. None: a free range is chosen, and egress is the network's.

    `secondary` are further ranges for pods, by name.
    """

    name: str = "default"
    region: str = DEFAULT_REGION
    range: IPv4Network | None = None
    pod_range: IPv4Network | None = None
    secondary: Mapping[str, IPv4Network] = field(default_factory=dict)
    egress: Egress | None = None


def numbered_nodes(count: int) -> tuple[NodeConfig, ...]:
    """Nodes `node-1` to `node-<count>`, with nothing asked of them."""
    return tuple(NodeConfig(name=f"node-{ordinal}") for ordinal in range(1, count + 1))


@dataclass(frozen=True, slots=True)
class ClusterConfig:
    """What the user wrote. None, or no subnet, where nothing is written: `resolve` then chooses.

    `pool_nodes` come after `nodes`. `sources` maps a field's path to "file:line", so that a later refusal can point at
    the line.
    """

    name: str | None = None
    nodes: tuple[NodeConfig, ...] | None = None
    api_address: IPv4Address | None = None
    api_port: int | None = None
    pool_nodes: tuple[NodeConfig, ...] = ()
    mode: Mode | None = None
    pod_network: PodNetwork | None = None
    regions: tuple[str, ...] = ()
    mtu: int | None = None
    offloads: bool | None = None
    subnets: tuple[SubnetConfig, ...] = ()
    routes: tuple[StaticRoute, ...] | None = None
    firewall: tuple[FirewallRule, ...] | None = None
    paths: tuple[PathRule, ...] | None = None
    cni: Mapping[str, Any] | None = None
    stub_domains: Mapping[str, tuple[str, ...]] | None = None
    upstream_nameservers: tuple[str, ...] | None = None
    service_range: IPv4Network | None = None
    load_balancer_range: IPv4Network | None = None
    egress: Egress | None = None
    missing_image: MissingImage | None = None
    volumes: VolumeKind | None = None
    max_pods_per_node: int | None = None
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class ResolvedSubnet:
    """A subnet with its ranges fixed; None for pods where a network in automatic mode has no nodes."""

    name: str
    region: str
    range: IPv4Network
    pod_range: IPv4Network | None
    secondary: Mapping[str, IPv4Network] = field(default_factory=dict)
    egress: Egress = "nat"

    @property
    def gateway(self) -> IPv4Address:
        """The router's address in this subnet: the first of the range, as on GCP."""
        return self.range[1]


@dataclass(frozen=True, slots=True)
class ResolvedNode:
    """A node with its place and its address. None: the host's size, the cluster's limit, no range for pods left."""

    name: str
    subnet: str
    region: str
    zone: str
    address: IPv4Address
    pod_range: IPv4Network | None
    labels: Mapping[str, str] = field(default_factory=dict)
    cpu: str | None = None
    memory: str | None = None
    max_pods: int | None = None
    taints: tuple[Mapping[str, str], ...] = ()
    tags: tuple[str, ...] = ()
    machine_type: str | None = None
    state: NodeState = "running"


@dataclass(frozen=True, slots=True)
class ResolvedCluster:
    """A cluster with every range, port and address fixed; `cluster.json` is this."""

    name: str
    api_address: IPv4Address
    api_port: int
    mode: Mode
    mtu: int
    subnets: tuple[ResolvedSubnet, ...]
    nodes: tuple[ResolvedNode, ...]
    service_range: IPv4Network
    load_balancer_range: IPv4Network
    egress: Egress
    missing_image: MissingImage
    max_pods_per_node: int
    pod_network: PodNetwork = "routed"
    offloads: bool = True
    volumes: VolumeKind = "image"
    routes: tuple[StaticRoute, ...] = ()
    firewall: tuple[FirewallRule, ...] = ()
    paths: tuple[PathRule, ...] = ()
    cni: Mapping[str, Any] = field(default_factory=dict)
    stub_domains: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    upstream_nameservers: tuple[str, ...] = ()

    @property
    def pod_mtu(self) -> int:
        """The MTU of pods and of their bridges."""
        return self.mtu - (VXLAN_BYTES if self.pod_network == "vxlan" else 0)

    @property
    def api_url(self) -> str:
        """The API server's URL on the host."""
        return f"https://{self.api_address}:{self.api_port}"

    @property
    def api_vpc_address(self) -> IPv4Address:
        """The API server's address inside the VPC: the second of the first subnet."""
        return self.subnets[0].range[2]

    @property
    def kubernetes_address(self) -> IPv4Address:
        """The ClusterIP of `kubernetes.default`: the first of the service range."""
        return self.service_range[1]

    @property
    def dns_address(self) -> IPv4Address:
        """The ClusterIP of the cluster's DNS: the tenth of the service range."""
        return self.service_range[10]

    def subnet(self, name: str) -> ResolvedSubnet:
        """The subnet of that name; KeyError if there is none."""
        for subnet in self.subnets:
            if subnet.name == name:
                return subnet
        raise KeyError(name)

    def node(self, name: str) -> ResolvedNode:
        """The node of that name; KeyError if there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    def ranges(self) -> dict[str, IPv4Network]:
        """Every range of the cluster by a name for people, as "subnet default pods"."""
        ranges = {}
        for subnet in self.subnets:
            ranges[f"subnet {subnet.name} nodes"] = subnet.range
            if subnet.pod_range is not None:
                ranges[f"subnet {subnet.name} pods"] = subnet.pod_range
            ranges |= {f"subnet {subnet.name} {name}": network for name, network in subnet.secondary.items()}
        return ranges | {"services": self.service_range, "load balancers": self.load_balancer_range}

    def to_json(self) -> str:
        """The text of `cluster.json`: snake_case fields, addresses as text."""
        return json.dumps(dataclasses.asdict(self), default=str, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> ResolvedCluster:
        """The inverse of `to_json`; ValueError, KeyError or TypeError if the text is not one."""
        data: dict[str, Any] = json.loads(text)
        return cls(
            **data
            | {
                "api_address": IPv4Address(data["api_address"]),
                "subnets": tuple(_subnet_from_json(item) for item in data["subnets"]),
                "nodes": tuple(_node_from_json(item) for item in data["nodes"]),
                "service_range": IPv4Network(data["service_range"]),
                "load_balancer_range": IPv4Network(data["load_balancer_range"]),
                "routes": tuple(StaticRoute(**_tuples(item)) for item in data.get("routes", ())),
                "firewall": tuple(FirewallRule(**_tuples(item)) for item in data.get("firewall", ())),
                "paths": tuple(PathRule(**_tuples(item)) for item in data.get("paths", ())),
                "stub_domains": _tuples(data.get("stub_domains", {})),
                "upstream_nameservers": tuple(data.get("upstream_nameservers", ())),
            }
        )

    @classmethod
    def load(cls, directory: Path) -> ResolvedCluster:
        """Read `cluster.json` of a cluster's directory; ConfigError if that is not there, or not what was written."""
        file = directory / CLUSTER_FILE
        try:
            return cls.from_json(file.read_bytes())
        except (OSError, ValueError, KeyError, TypeError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(
                where=str(file),
                path="",
                found=f"cannot be read: {reason}",
                allowed=f"netsim down --name {directory.name} removes that cluster",
            ) from error


def _tuples(item: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}


def _subnet_from_json(item: dict[str, Any]) -> ResolvedSubnet:
    fixed = {
        "range": IPv4Network(item["range"]),
        "pod_range": _network(item["pod_range"]),
        "secondary": {name: IPv4Network(text) for name, text in item.get("secondary", {}).items()},
    }
    return ResolvedSubnet(**item | fixed)


def _node_from_json(item: dict[str, Any]) -> ResolvedNode:
    fixed = {
        "address": IPv4Address(item["address"]),
        "pod_range": _network(item["pod_range"]),
        "taints": tuple(item.get("taints", ())),
        "tags": tuple(item.get("tags", ())),
    }
    return ResolvedNode(**item | fixed)


def _network(text: str | None) -> IPv4Network | None:
    return None if text is None else IPv4Network(text)
