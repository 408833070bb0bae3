"""`ClusterConfig` to `ResolvedCluster`: choose what the user left free, refuse what this host cannot give.

Pure: what is taken on the host comes in as data (`host` gathers it). The first choice of every range is the one of
the documentation; the further ones are tried in order, so a second cluster beside the first has guessable addresses:
10.129.0.0/20 for nodes, 10.52.0.0/14 for pods, 10.48.16.0/20 for Services.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network

from controlplane.config.errors import ConfigError
from controlplane.config.network_checks import check_network
from controlplane.config.placement import Places
from controlplane.config.regions import auto_subnets
from controlplane.config.types import (
    DEFAULT_NAME,
    ClusterConfig,
    NodeConfig,
    ResolvedCluster,
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
    planned = config.subnets or (auto_subnets(config.regions) if config.mode == "auto" else (SubnetConfig(),))
    config = replace(config, subnets=planned)
    ranges = _Ranges(config, list(taken))
    # What the user named is placed first, so that a range chosen here never takes what the file asks for further on.
    ranges.place_named()
    nodes = _nodes(config)
    subnets = tuple(
        _subnet(ranges, config, index, pods=_wants_pods(config, subnet, nodes)) for index, subnet in enumerate(planned)
    )
    max_pods = config.max_pods_per_node or MAX_PODS
    places = Places(subnets, max_pods, sources=config.sources)
    cluster = ResolvedCluster(
        name=name or config.name or DEFAULT_NAME,
        api_address=config.api_address or LOOPBACK,
        api_port=_port(config, port_owner),
        mode=config.mode or "custom",
        mtu=config.mtu or MTU,
        subnets=subnets,
        nodes=tuple(places.place(node) for node in nodes),
        service_range=ranges.get("spec.network.serviceRange", config.service_range, _SERVICE_CANDIDATES),
        load_balancer_range=ranges.get(
            "spec.network.loadBalancerRange", config.load_balancer_range, _LOAD_BALANCER_CANDIDATES
        ),
        egress=config.egress or "nat",
        missing_image=config.missing_image or "standin",
        max_pods_per_node=max_pods,
        pod_network=config.pod_network or "routed",
        offloads=config.offloads is not False,
        volumes=config.volumes or "image",
        routes=config.routes or (),
        firewall=config.firewall or (),
        paths=config.paths or (),
        cni=config.cni or {},
        stub_domains=config.stub_domains or {},
        upstream_nameservers=config.upstream_nameservers or (),
    )
    check_network(cluster, config.sources)
    return cluster


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
        named: dict[str, IPv4Network | None] = {
            "spec.network.serviceRange": config.service_range,
            "spec.network.loadBalancerRange": config.load_balancer_range,
        }
        for index, subnet in enumerate(config.subnets):
            named[f"spec.network.subnets[{index}].range"] = subnet.range
            named[f"spec.network.subnets[{index}].podRange"] = subnet.pod_range
            for number, secondary in enumerate(subnet.secondary.values()):
                named[f"spec.network.subnets[{index}].secondaryRanges[{number}].range"] = secondary
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
        if conflict is not None and self._config.mode == "auto" and path.endswith("].range"):
            raise ConfigError(
                where=self._config.sources.get("spec.network.mode", ""),
                path="spec.network.mode",
                found=f"{network} of automatic mode overlaps {conflict.owner}",
                allowed="name the regions that are needed in spec.network.regions, or write subnets in mode custom",
            )
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


def _subnet(ranges: _Ranges, config: ClusterConfig, index: int, *, pods: bool) -> ResolvedSubnet:
    subnet, path = config.subnets[index], f"spec.network.subnets[{index}]"
    return ResolvedSubnet(
        name=subnet.name,
        region=subnet.region,
        range=ranges.get(f"{path}.range", subnet.range, _NODE_CANDIDATES),
        pod_range=ranges.get(f"{path}.podRange", subnet.pod_range, _POD_CANDIDATES) if pods else None,
        secondary=dict(subnet.secondary),
        egress=subnet.egress or config.egress or "nat",
    )


def _wants_pods(config: ClusterConfig, subnet: SubnetConfig, nodes: Sequence[NodeConfig]) -> bool:
    """Whether a subnet is to have a range for pods: of automatic mode's many, those that are named or have nodes."""
    if config.mode != "auto" or config.regions:
        return True
    return any((node.subnet or config.subnets[0].name) == subnet.name for node in nodes)


def _nodes(config: ClusterConfig) -> tuple[NodeConfig, ...]:
    """All nodes that are asked for; pools alone go without the usual three."""
    usual = () if config.pool_nodes else numbered_nodes(NODES)
    nodes = (*(usual if config.nodes is None else config.nodes), *config.pool_nodes)
    names = [node.name for node in nodes]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice is not None:
        raise ConfigError(path="spec.nodes", found=f"the name {twice} is there twice", allowed="give each its own name")
    return nodes


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
