"""A place for one more node in a cluster that is there."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, collapse_addresses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.config import ClusterConfig, ConfigError, NodeConfig, ResolvedCluster
from controlplane.config.placement import PodRanges, pod_prefix, resolve_node
from controlplane.config.resolve import resolve
from controlplane.config.types import SubnetConfig


def nobody(address: IPv4Address, port: int) -> str | None:
    return None


def resolved(config: ClusterConfig) -> ResolvedCluster:
    return resolve(config, taken=[], port_owner=nobody)


def test_the_next_node_has_the_next_place() -> None:
    node = resolve_node(NodeConfig("node-4"), resolved(ClusterConfig()))
    assert (str(node.address), str(node.pod_range), node.zone) == ("10.128.0.14", "10.44.4.0/24", "us-central1-a")


def test_a_place_that_became_free_is_used_again() -> None:
    cluster = resolved(ClusterConfig())
    without = replace(cluster, nodes=(cluster.nodes[0], cluster.nodes[2]))
    taints = ({"key": "a", "effect": "NoSchedule"},)
    node = resolve_node(NodeConfig("other", zone="us-central1-f", cpu="2", taints=taints), without)
    assert (node.address, node.pod_range) == (cluster.nodes[1].address, cluster.nodes[1].pod_range)
    assert (node.zone, node.cpu, node.taints) == ("us-central1-f", "2", taints)
    whole = replace(without, nodes=(*without.nodes, replace(node, state="crashed")))
    assert ResolvedCluster.from_json(whole.to_json()) == whole


def test_a_full_subnet_an_unknown_one_and_a_name_twice_are_refused() -> None:
    subnet = SubnetConfig("small", range=IPv4Network("10.60.0.0/29"))
    cluster = resolved(ClusterConfig(subnets=(subnet,), nodes=(NodeConfig("a"), NodeConfig("b"), NodeConfig("d"))))
    for node, said in [
        (NodeConfig("c"), "room for 3 nodes"),
        (NodeConfig("c", zone="us-east1-b"), "us-east1-b is not in region us-central1 of subnet small"),
        (NodeConfig("c", subnet="other"), "no subnet other"),
        (NodeConfig("a"), "there is a node a already"),
    ]:
        with pytest.raises(ConfigError, match=said):
            resolve_node(node, cluster)


def test_a_node_without_a_range_for_its_pods_left_gets_its_place_all_the_same() -> None:
    subnet = SubnetConfig("small", pod_range=IPv4Network("10.60.0.0/23"))
    cluster = resolved(ClusterConfig(subnets=(subnet,), nodes=(NodeConfig("a"), NodeConfig("b"))))
    late = resolve_node(NodeConfig("c"), cluster)
    assert (str(late.address), late.pod_range) == ("10.128.0.13", None)
    whole = replace(cluster, nodes=(*cluster.nodes, late))
    assert ResolvedCluster.from_json(whole.to_json()) == whole
    again = resolve_node(NodeConfig("c"), replace(cluster, nodes=cluster.nodes[1:]))
    assert again.pod_range == cluster.nodes[0].pod_range, "what became free is given away again"


def test_a_nodes_own_number_of_pods_sets_the_size_of_its_range() -> None:
    nodes = (NodeConfig("a", max_pods=256), NodeConfig("b", max_pods=8), NodeConfig("c"), NodeConfig("d", max_pods=8))
    found = [str(node.pod_range) for node in resolved(ClusterConfig(nodes=nodes)).nodes]
    assert found == ["10.44.2.0/23", "10.44.0.16/28", "10.44.1.0/24", "10.44.0.32/28"]


@given(st.lists(st.integers(8, 256), max_size=60), st.integers(20, 28))
def test_ranges_of_any_sizes_never_overlap_nor_leave_the_subnets(sizes: list[int], prefix: int) -> None:
    around = IPv4Network(f"10.60.0.0/{prefix}")
    ranges = PodRanges(around)
    given_away = [found for size in sizes if (found := ranges.take(pod_prefix(size))) is not None]
    assert all(found.subnet_of(around) for found in given_away)
    assert sum(found.num_addresses for found in collapse_addresses(given_away)) == sum(
        found.num_addresses for found in given_away
    )
