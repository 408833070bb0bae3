"""What only a network with all its ranges fixed can show to be wrong: routes, and places that rules speak of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network

from controlplane.config.errors import ConfigError
from controlplane.config.types import ResolvedCluster
from netsim.vpc.default_rules import rule_names


def check_network(cluster: ResolvedCluster, sources: Mapping[str, str]) -> None:
    """ConfigError for the first thing that is wrong."""
    for path, found, allowed in (*_routes(cluster), *_firewall(cluster), *_paths(cluster), *_overlay(cluster)):
        raise ConfigError(where=_where(sources, path), path=path, found=found, allowed=allowed)


_Fault = tuple[str, str, str]


def _where(sources: Mapping[str, str], path: str) -> str:
    """Where a field stands, or the nearest that it is in: what is wrong may be that it is left out."""
    while path and path not in sources:
        path = path.rpartition(".")[0]
    return sources.get(path, "")


def _routes(cluster: ResolvedCluster) -> Iterator[_Fault]:
    names = [node.name for node in cluster.nodes]
    for index, route in enumerate(cluster.routes):
        path = f"spec.network.routes[{index}]"
        destination = IPv4Network(route.destination)
        for owner, network in cluster.ranges().items():
            if destination.subnet_of(network):
                yield (
                    f"{path}.destination",
                    f"{destination} lies in {owner} {network}",
                    "a custom route leads elsewhere",
                )
        if route.node and route.node not in names:
            yield f"{path}.nextHopNode", f"there is no node {route.node}", f"allowed is {', '.join(names) or 'none'}"
        address = IPv4Address(route.address) if route.address else None
        if address and not any(address in subnet.range for subnet in cluster.subnets):
            ranges = ", ".join(str(subnet.range) for subnet in cluster.subnets)
            yield f"{path}.nextHopAddress", f"{address} is in no subnet", f"allowed is an address in {ranges}"


def _firewall(cluster: ResolvedCluster) -> Iterator[_Fault]:
    own = rule_names(cluster.name)
    for index, rule in enumerate(cluster.firewall):
        if rule.name in own:
            yield f"spec.network.firewall[{index}].name", f"{rule.name} is a rule that is there", "choose another name"


def _paths(cluster: ResolvedCluster) -> Iterator[_Fault]:
    regions = list(dict.fromkeys(subnet.region for subnet in cluster.subnets))
    for index, rule in enumerate(cluster.paths):
        for number, place in enumerate(rule.between):
            if place not in regions and place.rpartition("-")[0] not in regions:
                path = f"spec.network.paths[{index}].between[{number}]"
                allowed = f"allowed are regions, {', '.join(regions)}, and their zones, as {regions[0]}-a"
                yield path, f"{place} is neither a region nor a zone of this network", allowed


def _overlay(cluster: ResolvedCluster) -> Iterator[_Fault]:
    if cluster.pod_mtu < 1280:
        yield "spec.network.mtu", f"{cluster.mtu} leaves pods {cluster.pod_mtu} in vxlan", "allowed is 1330 or more"
