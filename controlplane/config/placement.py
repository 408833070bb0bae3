"""Where nodes stand: each takes an address of its subnet and a range for its pods, the first that nobody has.

The n-th node of a subnet has the n-th address and, where all nodes take as many pods, the n-th range. A subnet without
an address left has no room. One without a range for pods left still takes a node: it joins, and is not Ready for want
of a range, as on GKE when a secondary range runs out.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from controlplane.config.errors import ConfigError
from controlplane.config.types import NodeConfig, ResolvedCluster, ResolvedNode, ResolvedSubnet

_FIRST_NODE = 11
_FIRST_NODE_IN_SMALL_SUBNET = 3
_SMALL_SUBNET = 28
_RESERVED_AT_END = 2  # as on GCP: the second-to-last address and broadcast
_SMALLEST_POD_RANGE = 28


def pod_prefix(max_pods: int) -> int:
    """The prefix length of a node's pod range: at least two addresses a pod, as GKE has it (110 pods: /24)."""
    return min(32 - (2 * max_pods - 1).bit_length(), _SMALLEST_POD_RANGE)


def resolve_node(node: NodeConfig, cluster: ResolvedCluster) -> ResolvedNode:
    """A place for one more node in a cluster that is there.

    Without a range for its pods if none is left. ConfigError if the subnet is unknown or full, or the name is taken.
    """
    if any(other.name == node.name for other in cluster.nodes):
        raise ConfigError(path="name", found=f"there is a node {node.name} already", allowed="choose another name")
    return Places(cluster.subnets, cluster.max_pods_per_node, cluster.nodes).place(node)


class Places:
    """The places of a cluster's subnets, and which are taken."""

    def __init__(
        self,
        subnets: Sequence[ResolvedSubnet],
        max_pods: int,
        nodes: Iterable[ResolvedNode] = (),
        *,
        sources: Mapping[str, str] | None = None,
    ) -> None:
        self._subnets = {subnet.name: subnet for subnet in subnets}
        self._order = tuple(subnets)
        self._max_pods = max_pods
        self._sources = sources or {}
        self._addresses = {subnet.name: _Addresses(subnet) for subnet in subnets}
        self._pods = {network: PodRanges(network) for subnet in subnets for network in _pod_networks(subnet).values()}
        for node in nodes:
            self._addresses[node.subnet].taken.add(node.address)
            if node.pod_range is not None:
                self._holder(node.pod_range).hold(node.pod_range)

    def place(self, node: NodeConfig) -> ResolvedNode:
        """Gives a node its place. ConfigError if its subnet is unknown or full."""
        subnet = self._subnets.get(node.subnet or self._order[0].name)
        if subnet is None:
            names = ", ".join(self._subnets)
            raise ConfigError(path="subnet", found=f"there is no subnet {node.subnet}", allowed=f"there is: {names}")
        zone = node.zone or f"{subnet.region}-a"
        if not zone.startswith(f"{subnet.region}-"):
            raise ConfigError(
                path="zone",
                found=f"{zone} is not in region {subnet.region} of subnet {subnet.name}",
                allowed=f"name a zone as {subnet.region}-a, or another subnet",
            )
        address = self._addresses[subnet.name].take()
        if address is None:
            raise self._full(subnet)
        return ResolvedNode(
            name=node.name,
            subnet=subnet.name,
            region=subnet.region,
            zone=zone,
            address=address,
            pod_range=self._pod_range(node, subnet),
            labels=dict(node.labels),
            cpu=node.cpu,
            memory=node.memory,
            max_pods=node.max_pods,
            taints=node.taints,
            tags=node.tags,
            machine_type=node.machine_type,
        )

    def _pod_range(self, node: NodeConfig, subnet: ResolvedSubnet) -> IPv4Network | None:
        network = _pod_networks(subnet).get(node.pod_range or "")
        return None if network is None else self._pods[network].take(pod_prefix(node.max_pods or self._max_pods))

    def _holder(self, pod_range: IPv4Network) -> PodRanges:
        return next(ranges for network, ranges in self._pods.items() if pod_range.subnet_of(network))

    def _full(self, subnet: ResolvedSubnet) -> ConfigError:
        path = f"spec.network.subnets[{self._order.index(subnet)}].range"
        return ConfigError(
            where=self._sources.get(path, ""),
            path=path,
            found=f"{subnet.range} has room for {self._addresses[subnet.name].room} nodes, and all of it is taken",
            allowed=f"name a wider range, or fewer nodes for subnet {subnet.name}",
        )


class PodRanges:
    """The blocks that a range for pods is cut into, and the next that is free."""

    def __init__(self, network: IPv4Network) -> None:
        self._network = network
        self._taken: set[int] = set()
        self._next: dict[int, int] = {}

    def hold(self, block: IPv4Network) -> None:
        """Notes that a block is given away."""
        self._taken.update(self._granules(int(block.network_address), block.prefixlen))

    def take(self, prefix: int) -> IPv4Network | None:
        """The first free block of that length, None if there is none left."""
        start, count = int(self._network.network_address), self._network.num_addresses >> (32 - prefix)
        # So that 10.44.1.0/24 is node-1's; the block before the first serves the last.
        for position in itertools.chain(range(self._next.get(prefix, 1), count), (0,)):
            granules = self._granules(start + (position << (32 - prefix)), prefix)
            if count and self._taken.isdisjoint(granules):
                self._taken.update(granules)
                self._next[prefix] = max(position, 1)
                return IPv4Network((start + (position << (32 - prefix)), prefix))
        self._next[prefix] = max(count, 1)
        return None

    def _granules(self, start: int, prefix: int) -> range:
        size = 32 - _SMALLEST_POD_RANGE
        return range(start >> size, (start + (1 << (32 - prefix)) - 1 >> size) + 1)


class _Addresses:
    """The addresses of a subnet that nodes can have."""

    def __init__(self, subnet: ResolvedSubnet) -> None:
        self._range = subnet.range
        small = subnet.range.prefixlen >= _SMALL_SUBNET
        self._first = _FIRST_NODE_IN_SMALL_SUBNET if small else _FIRST_NODE
        self.room = subnet.range.num_addresses - _RESERVED_AT_END - self._first
        self._cursor = self._first
        self.taken: set[IPv4Address] = set()

    def take(self) -> IPv4Address | None:
        while self._cursor < self._first + self.room:
            address = self._range[self._cursor]
            self._cursor += 1
            if address not in self.taken:
                self.taken.add(address)
                return address
        return None


def _pod_networks(subnet: ResolvedSubnet) -> dict[str, IPv4Network]:
    """The ranges that pods' ranges are cut from, by name; the main one is called ""."""
    return ({"": subnet.pod_range} if subnet.pod_range is not None else {}) | dict(subnet.secondary)
