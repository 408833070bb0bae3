"""`ClusterConfig` to `ResolvedCluster`: choose what the user left free, refuse what this host cannot give.

Pure: what is taken on the host comes in as data (`host` gathers it). The first choice of every range is the one of
the documentation; the further ones are tried in order, so a second cluster beside the first has guessable addresses:
10.129.0.0/20 for nodes, 10.52.0.0/14 for pods, 10.48.16.0/20 for Services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from controlplane.config.errors import ConfigError
from controlplane.config.types import (
    DEFAULT_NAME,
    ClusterConfig,
    NodeConfig,
    ResolvedCluster,
    ResolvedNode,
    ResolvedSubnet,
    SubnetConfig,
    numbered_nodes,
)

LOOPBACK = IPv4Address("127.0.0.1")
MTU = 1460  # as on GCP
NODES = 3
MAX_PODS = 110
FIRST_PORT = 6443
PORTS_TRIED = 100
_FIRST_NODE = 11
_FIRST_NODE_IN_SMALL_SUBNET = 3
_RESERVED_AT_END = 2  # as on GCP: the second-to-last address and broadcast

_NODE_CANDIDATES = ("10.128.0.0/9 16 20", "172.16.0.0/12 16 20", "192.168.0.0/16 20 20", "100.64.0.0/11 16 20")
_POD_CANDIDATES = (
    "10.44.0.0/14 14 14",
    "10.52.0.0/14 14 14",
    "10.56.0.0/13 14 14",
    "10.64.0.0/10 14 14",
    "100.96.0.0/11 14 14",
)
_SERVICE_CANDIDATES = ("10.48.0.0/14 20 20", "172.16.0.0/12 20 20", "192.168.0.0/16 20 20", "100.64.0.0/10 20 20")
_LOAD_BALANCER_CANDIDATES = (
    "203.0.113.0/24 24 24",
    "198.51.100.0/24 24 24",
    "192.0.2.0/24 24 24",
    "198.18.0.0/15 24 24",
)

PortOwner = Callable[[IPv4Address, int], str | None]


@dataclass(frozen=True, slots=True)
class Taken:
    """A range that a cluster cannot have, and whose it is, as "the host's route 10.0.0.0/8 dev eth0"."""

    network: IPv4Network
    owner: str


def resolve(
    config: ClusterConfig, *, taken: Iterable[Taken], port_owner: PortOwner, name: str | None = None
) -> ResolvedCluster:
    """Fix every range, port and address of a cluster.

    `taken` is what the host and other clusters hold; `port_owner` says who listens on an address and port, or None.
    `name` goes before the config's. ConfigError names a range or port that was asked for and is not free.
    """
    planned = config.subnets or (SubnetConfig(),)
    ranges = _Ranges(config, list(taken))
    # What the user named is placed first, so that a range chosen here never takes what the file asks for further on.
    ranges.place_named()
    subnets = tuple(_subnet(ranges, index, subnet) for index, subnet in enumerate(planned))
    max_pods = config.max_pods_per_node or MAX_PODS
    return ResolvedCluster(
        name=name or config.name or DEFAULT_NAME,
        api_address=config.api_address or LOOPBACK,
        api_port=_port(config, port_owner),
        mode=config.mode or "routed",
        mtu=config.mtu or MTU,
        subnets=subnets,
        nodes=tuple(_place(config, subnets, pod_prefix(max_pods))),
        service_range=ranges.get("spec.network.serviceRange", config.service_range, _SERVICE_CANDIDATES),
        load_balancer_range=ranges.get(
            "spec.network.loadBalancerRange", config.load_balancer_range, _LOAD_BALANCER_CANDIDATES
        ),
        egress=config.egress or "nat",
        missing_image=config.missing_image or "standin",
        max_pods_per_node=max_pods,
    )


def pod_prefix(max_pods: int) -> int:
    """The prefix length of a node's pod range: at least two addresses a pod, as GKE has it (110 pods: /24)."""
    return 32 - (2 * max_pods - 1).bit_length()


def first_choices() -> dict[str, IPv4Network]:
    """The range that a cluster gets for each purpose if nothing is in the way."""
    candidates = {
        "nodes": _NODE_CANDIDATES,
        "pods": _POD_CANDIDATES,
        "Services": _SERVICE_CANDIDATES,
        "load balancers": _LOAD_BALANCER_CANDIDATES,
    }
    return {purpose: next(_candidates(specs)) for purpose, specs in candidates.items()}


class _Ranges:
    """The ranges already given away, and the next free one."""

    def __init__(self, config: ClusterConfig, taken: list[Taken]) -> None:
        self._config = config
        self._taken = taken

    def place_named(self) -> None:
        """Hold what the file names; ConfigError where it overlaps the host or itself."""
        config = self._config
        named = {
            "spec.network.serviceRange": config.service_range,
            "spec.network.loadBalancerRange": config.load_balancer_range,
        }
        for index, subnet in enumerate(config.subnets):
            named[f"spec.network.subnets[{index}].range"] = subnet.range
            named[f"spec.network.subnets[{index}].podRange"] = subnet.pod_range
        for path, network in named.items():
            if network is not None:
                self._hold(path, network)

    def get(self, path: str, named: IPv4Network | None, candidates: Sequence[str]) -> IPv4Network:
        """What the file names, already held, or else the first free candidate."""
        if named is not None:
            return named
        for network in _candidates(candidates):
            if self._conflict(network) is None:
                self._taken.append(Taken(network, f"{path} {network}"))
                return network
        owners = sorted({taken.owner for taken in self._taken})
        raise ConfigError(
            path=path,
            found=f"no range that netsim knows is free: taken by {', '.join(owners[:5])}",
            allowed="name a free one in cluster.yaml",
        )

    def _hold(self, path: str, network: IPv4Network) -> None:
        conflict = self._conflict(network)
        if conflict is not None:
            raise ConfigError(
                where=self._config.sources.get(path, ""),
                path=path,
                found=f"{network} overlaps {conflict.owner}",
                allowed="name another range, or leave the field out and a free one is chosen",
            )
        self._taken.append(Taken(network, f"{path} {network}"))

    def _conflict(self, network: IPv4Network) -> Taken | None:
        return next((taken for taken in self._taken if taken.network.overlaps(network)), None)


def _candidates(specs: Sequence[str]) -> Iterator[IPv4Network]:
    """Each spec is "block step length": a network of /length at the start of every /step of the block."""
    for spec in specs:
        block, step, length = spec.split()
        for start in IPv4Network(block).subnets(new_prefix=int(step)):
            yield IPv4Network(f"{start.network_address}/{length}")


def _subnet(ranges: _Ranges, index: int, subnet: SubnetConfig) -> ResolvedSubnet:
    path = f"spec.network.subnets[{index}]"
    return ResolvedSubnet(
        name=subnet.name,
        region=subnet.region,
        range=ranges.get(f"{path}.range", subnet.range, _NODE_CANDIDATES),
        pod_range=ranges.get(f"{path}.podRange", subnet.pod_range, _POD_CANDIDATES),
    )


def resolve_node(node: NodeConfig, cluster: ResolvedCluster) -> ResolvedNode:
    """A place for one more node in a cluster that is there: the first of its subnet that nobody has.

    ConfigError if the subnet is unknown or full, or the name is taken.
    """
    if any(other.name == node.name for other in cluster.nodes):
        raise ConfigError(path="name", found=f"there is a node {node.name} already", allowed="choose another name")
    subnets = {subnet.name: subnet for subnet in cluster.subnets}
    subnet = subnets.get(node.subnet or cluster.subnets[0].name)
    if subnet is None:
        raise ConfigError(
            path="subnet", found=f"there is no subnet {node.subnet}", allowed=f"there is: {', '.join(subnets)}"
        )
    prefix = pod_prefix(cluster.max_pods_per_node)
    room = _Room(subnet, prefix)
    addresses, pod_ranges = {other.address for other in cluster.nodes}, {other.pod_range for other in cluster.nodes}
    for ordinal in range(1, room.nodes + 1):
        if room.address(ordinal) not in addresses and room.pod_range(ordinal) not in pod_ranges:
            return _node(node, room, ordinal)
    raise ConfigError(
        path=f"subnet {subnet.name}",
        found=f"it has room for {room.nodes} nodes, and they are all there",
        allowed="remove a node, or name another subnet",
    )


class _Room:
    """The places of a subnet: the n-th node has the n-th address and the n-th range of pods."""

    def __init__(self, subnet: ResolvedSubnet, prefix: int) -> None:
        self.subnet = subnet
        self._prefix = prefix
        self._first = _FIRST_NODE if subnet.range.prefixlen <= 27 else _FIRST_NODE_IN_SMALL_SUBNET
        self.addresses = subnet.range.num_addresses - _RESERVED_AT_END - self._first
        self.pod_ranges = subnet.pod_range.num_addresses >> (32 - prefix)
        self.nodes = min(self.addresses, self.pod_ranges)

    def address(self, ordinal: int) -> IPv4Address:
        return self.subnet.range[self._first + ordinal - 1]

    def pod_range(self, ordinal: int) -> IPv4Network:
        # So that 10.44.1.0/24 is node-1's; the range before the first serves the last.
        position = ordinal % self.pod_ranges
        start = int(self.subnet.pod_range.network_address) + (position << (32 - self._prefix))
        return IPv4Network((start, self._prefix))


def _place(config: ClusterConfig, subnets: Sequence[ResolvedSubnet], prefix: int) -> Iterator[ResolvedNode]:
    """Give each node its address and pod range by its ordinal in its subnet."""
    rooms = {subnet.name: _Room(subnet, prefix) for subnet in subnets}
    placed = dict.fromkeys(rooms, 0)
    for node in numbered_nodes(NODES) if config.nodes is None else config.nodes:
        room = rooms[node.subnet or subnets[0].name]
        name = room.subnet.name
        placed[name] += 1
        if placed[name] > room.nodes:
            raise _too_small(config, room, placed[name])
        yield _node(node, room, placed[name])


def _too_small(config: ClusterConfig, room: _Room, ordinal: int) -> ConfigError:
    subnet = room.subnet
    which, holds = ("range", room.addresses) if ordinal > room.addresses else ("podRange", room.pod_ranges)
    index = next((i for i, item in enumerate(config.subnets) if item.name == subnet.name), 0)
    path = f"spec.network.subnets[{index}].{which}"
    network = subnet.range if which == "range" else subnet.pod_range
    return ConfigError(
        where=config.sources.get(path, ""),
        path=path,
        found=f"{network} has room for {holds} nodes",
        allowed=f"name a wider range or fewer than {ordinal} nodes for subnet {subnet.name}",
    )


def _node(node: NodeConfig, room: _Room, ordinal: int) -> ResolvedNode:
    return ResolvedNode(
        name=node.name,
        subnet=room.subnet.name,
        region=room.subnet.region,
        zone=node.zone or f"{room.subnet.region}-a",
        address=room.address(ordinal),
        pod_range=room.pod_range(ordinal),
        labels=dict(node.labels),
        cpu=node.cpu,
        memory=node.memory,
        max_pods=node.max_pods,
        taints=node.taints,
    )


def _port(config: ClusterConfig, port_owner: PortOwner) -> int:
    path = "spec.apiServer.port"
    address = config.api_address or LOOPBACK
    if config.api_port is not None:
        owner = port_owner(address, config.api_port)
        if owner is not None:
            raise ConfigError(
                where=config.sources.get(path, ""),
                path=path,
                found=f"port {config.api_port} of {address} is in use by {owner}",
                allowed="name another port, or leave the field out and a free one is chosen",
            )
        return config.api_port
    for port in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        if port_owner(address, port) is None:
            return port
    raise ConfigError(
        path=path,
        found=f"ports {FIRST_PORT} to {FIRST_PORT + PORTS_TRIED - 1} of {address} are all in use",
        allowed="name a free port in cluster.yaml",
    )
