"""Where a configuration asks for something else than what a cluster already has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from controlplane.config.types import ClusterConfig, NodeConfig, ResolvedCluster, ResolvedNode, SubnetConfig


def differences(config: ClusterConfig, cluster: ResolvedCluster) -> list[str]:
    """A line for each field that `config` writes and `cluster` has otherwise; what is left free differs in nothing."""
    return [
        f"{path}: asked for {asked}, has {has}"
        for path, asked, has in (*_scalars(config, cluster), *_nodes(config, cluster), *_subnets(config, cluster))
        if asked is not None and asked != has
    ] + [
        f"{path}: asked for others than it has"
        for path, asked, has in _rules(config, cluster)
        if asked not in (None, has)
    ]


_Triple = tuple[str, Any, Any]


def _scalars(config: ClusterConfig, cluster: ResolvedCluster) -> Iterator[_Triple]:
    yield "spec.apiServer.address", config.api_address, cluster.api_address
    yield "spec.apiServer.port", config.api_port, cluster.api_port
    yield "spec.network.mode", config.mode, cluster.mode
    yield "spec.network.podNetwork", config.pod_network, cluster.pod_network
    yield "spec.network.mtu", config.mtu, cluster.mtu
    yield "spec.network.offloads", config.offloads, cluster.offloads
    yield "spec.network.serviceRange", config.service_range, cluster.service_range
    yield "spec.network.loadBalancerRange", config.load_balancer_range, cluster.load_balancer_range
    yield "spec.network.egress", config.egress, cluster.egress
    yield "spec.images.missing", config.missing_image, cluster.missing_image
    yield "spec.storage.volumes", config.volumes, cluster.volumes
    yield "spec.maxPodsPerNode", config.max_pods_per_node, cluster.max_pods_per_node


def _rules(config: ClusterConfig, cluster: ResolvedCluster) -> Iterator[_Triple]:
    yield "spec.network.routes", config.routes, cluster.routes
    yield "spec.network.firewall", config.firewall, cluster.firewall
    yield "spec.network.paths", config.paths, cluster.paths
    yield "spec.network.cni", config.cni, cluster.cni
    yield "spec.dns.stubDomains", config.stub_domains, cluster.stub_domains
    yield "spec.dns.upstreamNameservers", config.upstream_nameservers, cluster.upstream_nameservers


def _nodes(config: ClusterConfig, cluster: ResolvedCluster) -> Iterator[_Triple]:
    if config.nodes is None and not config.pool_nodes:
        return
    wanted = (*(config.nodes or ()), *config.pool_nodes)
    asked, has = [node.name for node in wanted], [node.name for node in cluster.nodes]
    if asked != has:
        yield "spec.nodes", _count(asked), _count(has)
        return
    for index, (node, resolved) in enumerate(zip(wanted, cluster.nodes, strict=True)):
        yield from _node(f"spec.nodes[{index}]", node, resolved)


def _node(path: str, node: NodeConfig, resolved: ResolvedNode) -> Iterator[_Triple]:
    yield f"{path}.subnet", node.subnet, resolved.subnet
    yield f"{path}.zone", node.zone, resolved.zone
    yield f"{path}.labels", dict(node.labels), dict(resolved.labels)
    yield f"{path}.cpu", node.cpu, resolved.cpu
    yield f"{path}.memory", node.memory, resolved.memory
    yield f"{path}.taints", node.taints, resolved.taints
    yield f"{path}.tags", node.tags, resolved.tags
    yield f"{path}.machineType", node.machine_type, resolved.machine_type


def _subnets(config: ClusterConfig, cluster: ResolvedCluster) -> Iterator[_Triple]:
    if not config.subnets:
        return
    asked, has = [subnet.name for subnet in config.subnets], [subnet.name for subnet in cluster.subnets]
    if asked != has:
        yield "spec.network.subnets", ", ".join(asked), ", ".join(has)
        return
    for index, subnet in enumerate(config.subnets):
        yield from _subnet(f"spec.network.subnets[{index}]", subnet, cluster)


def _subnet(path: str, subnet: SubnetConfig, cluster: ResolvedCluster) -> Iterator[_Triple]:
    resolved = cluster.subnet(subnet.name)
    yield f"{path}.region", subnet.region, resolved.region
    yield f"{path}.range", subnet.range, resolved.range
    yield f"{path}.podRange", subnet.pod_range, resolved.pod_range
    yield f"{path}.egress", subnet.egress, resolved.egress


def _count(names: list[str]) -> str:
    shown = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
    return f"{len(names)} ({shown})" if names else "none"
