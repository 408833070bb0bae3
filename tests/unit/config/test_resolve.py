"""Choosing what is free, refusing what is not."""

from __future__ import annotations

import socket
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.config import CLUSTER_FILE, ClusterConfig, ConfigError, ResolvedCluster, SubnetConfig
from controlplane.config.differences import differences
from controlplane.config.host import nameservers, other_clusters, port_owner, port_owner_beside, taken_by_clusters
from controlplane.config.parse import parse
from controlplane.config.placement import pod_prefix
from controlplane.config.resolve import Taken, resolve
from controlplane.config.types import numbered_nodes

HEAD = "apiVersion: netsim.io/v1alpha1\nkind: Cluster\n"


def nobody(address: IPv4Address, port: int) -> str | None:
    return None


def resolved(config: ClusterConfig | None = None, *, name: str | None = None) -> ResolvedCluster:
    return resolve(config or ClusterConfig(), taken=[], port_owner=nobody, name=name)


def test_the_documented_defaults() -> None:
    cluster = resolved()
    assert cluster.name == "netsim"
    assert cluster.api_url == "https://127.0.0.1:6443"
    assert [str(node.address) for node in cluster.nodes] == ["10.128.0.11", "10.128.0.12", "10.128.0.13"]
    assert [str(node.pod_range) for node in cluster.nodes] == ["10.44.1.0/24", "10.44.2.0/24", "10.44.3.0/24"]
    assert [node.zone for node in cluster.nodes] == ["us-central1-a"] * 3
    assert str(cluster.subnets[0].gateway) == "10.128.0.1"
    assert str(cluster.api_vpc_address) == "10.128.0.2"
    assert str(cluster.kubernetes_address) == "10.48.0.1"
    assert str(cluster.dns_address) == "10.48.0.10"
    assert str(cluster.load_balancer_range) == "203.0.113.0/24"


def test_json_round_trip() -> None:
    config = parse(HEAD + "spec: {nodes: [{name: a, labels: {disk: ssd}}], apiServer: {address: 127.0.0.9}}\n")
    cluster = resolved(config, name="lab")
    assert ResolvedCluster.from_json(cluster.to_json()) == cluster


def test_a_second_cluster_gets_other_ranges_and_another_port(tmp_path: Path) -> None:
    first = resolved()
    (tmp_path / "netsim").mkdir()
    (tmp_path / "netsim" / CLUSTER_FILE).write_text(first.to_json())
    second = resolve(
        ClusterConfig(),
        taken=taken_by_clusters("lab", directory=tmp_path),
        port_owner=port_owner_beside("lab", directory=tmp_path),
        name="lab",
    )
    assert str(second.nodes[0].address) == "10.129.0.11"
    assert str(second.subnets[0].pod_range) == "10.52.0.0/14"
    assert str(second.service_range) == "10.48.16.0/20"
    assert str(second.load_balancer_range) == "198.51.100.0/24"
    assert second.api_port > first.api_port
    assert [cluster.name for cluster in other_clusters("netsim", directory=tmp_path)] == []


def test_a_cluster_file_that_cannot_be_read_is_named_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / CLUSTER_FILE).write_text("{")
    with pytest.raises(ConfigError, match="netsim down --name old"):
        taken_by_clusters("lab", directory=tmp_path)


def test_a_range_with_the_hosts_nameserver_in_it_is_not_chosen(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# made by hand\nsearch example\nnameserver 203.0.113.53\nnameserver ::1\nnameserver\n")
    taken = nameservers(file)
    assert [each.owner for each in taken] == [f"the host's nameserver 203.0.113.53 in {file}"]
    cluster = resolve(ClusterConfig(), taken=taken, port_owner=nobody)
    assert str(cluster.load_balancer_range) == "198.51.100.0/24"
    assert nameservers(tmp_path / "none") == []


def test_a_named_range_that_overlaps_the_host_is_refused_naming_both_and_the_line() -> None:
    config = parse(HEAD + "spec:\n  network:\n    serviceRange: 10.48.0.0/20\n")
    taken = [Taken(IPv4Network("10.0.0.0/8"), "the host's route 10.0.0.0/8 dev tun0")]
    with pytest.raises(ConfigError) as caught:
        resolve(config, taken=taken, port_owner=nobody)
    assert str(caught.value).startswith(
        "cluster.yaml:5: spec.network.serviceRange: 10.48.0.0/20 overlaps the host's route 10.0.0.0/8 dev tun0;"
    )


def test_named_ranges_that_overlap_each_other_are_refused_naming_both() -> None:
    config = parse(HEAD + "spec: {network: {serviceRange: 10.44.0.0/20, subnets: [{name: a, podRange: 10.44.0.0/14}]}}")
    with pytest.raises(ConfigError, match=r"podRange: 10.44.0.0/14 overlaps spec.network.serviceRange 10.44.0.0/20"):
        resolved(config)


def test_a_chosen_range_leaves_what_the_file_names_further_on() -> None:
    config = parse(HEAD + "spec: {network: {subnets: [{name: a}, {name: b, range: 10.128.0.0/20}]}}")
    assert [str(subnet.range) for subnet in resolved(config).subnets] == ["10.129.0.0/20", "10.128.0.0/20"]


def test_a_host_that_routes_all_of_ten_gets_other_ranges() -> None:
    taken = [Taken(IPv4Network("10.0.0.0/8"), "the host's route 10.0.0.0/8 dev tun0")]
    cluster = resolve(ClusterConfig(), taken=taken, port_owner=nobody)
    assert [str(network) for network in cluster.ranges().values()] == [
        "172.16.0.0/20",
        "100.96.0.0/14",
        "172.16.16.0/20",
        "203.0.113.0/24",
    ]


def test_no_free_range_is_told() -> None:
    halves = IPv4Network("0.0.0.0/0").subnets()
    taken = [Taken(half, f"the host's route {half} dev tun0") for half in halves]
    with pytest.raises(ConfigError, match=r"no range that netsim knows is free: taken by .*tun0.*; name a free one"):
        resolve(ClusterConfig(), taken=taken, port_owner=nobody)


def test_nodes_are_numbered_in_their_subnet() -> None:
    config = parse(
        HEAD
        + "spec: {nodes: [{name: a}, {name: b, subnet: west}, {name: c}], "
        + "network: {subnets: [{name: east}, {name: west, region: europe-west1}]}}"
    )
    nodes = resolved(config).nodes
    assert [(node.name, str(node.address), node.zone) for node in nodes] == [
        ("a", "10.128.0.11", "us-central1-a"),
        ("b", "10.129.0.11", "europe-west1-a"),
        ("c", "10.128.0.12", "us-central1-a"),
    ]


def test_more_nodes_than_addresses_are_refused_with_the_line() -> None:
    config = parse(HEAD + "spec:\n  nodes: 20\n  network:\n    subnets:\n    - {name: a, range: 10.9.0.0/28}\n")
    with pytest.raises(ConfigError) as caught:
        resolved(config)
    assert str(caught.value).startswith(
        "cluster.yaml:7: spec.network.subnets[0].range: 10.9.0.0/28 has room for 11 nodes"
    )


def test_more_nodes_than_pod_ranges_leave_the_last_without() -> None:
    config = parse(HEAD + "spec: {nodes: 5, network: {subnets: [{name: a, podRange: 10.9.0.0/22}]}}")
    assert [str(node.pod_range) for node in resolved(config).nodes] == [
        "10.9.1.0/24",
        "10.9.2.0/24",
        "10.9.3.0/24",
        "10.9.0.0/24",
        "None",
    ]


def test_automatic_mode_has_a_subnet_a_region_with_gcps_ranges() -> None:
    config = parse(HEAD + "spec: {network: {mode: auto}, nodes: [{name: a, region: europe-west1}, {name: b}]}")
    cluster = resolved(config)
    assert len(cluster.subnets) > 40
    ranges = {subnet.name: str(subnet.range) for subnet in cluster.subnets}
    assert (ranges["us-central1"], ranges["europe-west1"]) == ("10.128.0.0/20", "10.132.0.0/20")
    auto = IPv4Network("10.128.0.0/9")
    assert all(subnet.range.subnet_of(auto) and subnet.name == subnet.region for subnet in cluster.subnets)
    assert len(set(ranges.values())) == len(ranges)
    assert [subnet.name for subnet in cluster.subnets if subnet.pod_range] == ["us-central1", "europe-west1"]
    assert [(str(node.address), node.zone) for node in cluster.nodes] == [
        ("10.132.0.11", "europe-west1-a"),
        ("10.128.0.11", "us-central1-a"),
    ]
    assert ResolvedCluster.from_json(cluster.to_json()) == cluster
    assert differences(config, cluster) == []


def test_automatic_mode_with_some_regions_gives_each_a_range_for_pods() -> None:
    config = parse(HEAD + "spec: {network: {mode: auto, regions: [europe-west1, us-central1]}}")
    cluster = resolved(config)
    assert [subnet.name for subnet in cluster.subnets] == ["us-central1", "europe-west1"]
    assert all(subnet.pod_range for subnet in cluster.subnets)


def test_automatic_mode_on_a_host_that_has_one_of_its_ranges_names_both() -> None:
    config = parse(HEAD + "spec:\n  network:\n    mode: auto\n")
    taken = [Taken(IPv4Network("10.140.0.0/16"), "the host's route 10.140.0.0/16 dev tun0")]
    with pytest.raises(ConfigError) as caught:
        resolve(config, taken=taken, port_owner=nobody)
    assert str(caught.value).startswith(
        "cluster.yaml:5: spec.network.mode: 10.140.0.0/20 of automatic mode overlaps the host's route 10.140.0.0/16"
    )


def test_pools_take_the_place_of_the_usual_nodes_and_carve_from_their_own_range() -> None:
    text = """
      nodePools:
      - {name: web, nodes: 2, zones: [us-central1-a, us-central1-b], tags: [web]}
      - {name: db, subnet: default, podRange: more, maxPodsPerNode: 32, machineType: n2-standard-8}
      network: {subnets: [{name: default, secondaryRanges: [{name: more, range: 10.80.0.0/24}]}]}
    """
    nodes = resolved(parse(HEAD + "spec:" + text)).nodes
    assert [(node.name, node.zone, str(node.pod_range)) for node in nodes] == [
        ("web-1", "us-central1-a", "10.44.1.0/24"),
        ("web-2", "us-central1-b", "10.44.2.0/24"),
        ("web-3", "us-central1-a", "10.44.3.0/24"),
        ("web-4", "us-central1-b", "10.44.4.0/24"),
        ("db-1", "us-central1-a", "10.80.0.64/26"),
    ]
    assert nodes[0].labels == {"cloud.google.com/gke-nodepool": "web"}
    assert (nodes[0].tags, nodes[4].machine_type, nodes[4].max_pods) == (("web",), "n2-standard-8", 32)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (
            "routes: [{name: a, destination: 10.128.1.0/24, nextHopNode: node-1}]",
            "spec.network.routes[0].destination: 10.128.1.0/24 lies in subnet default nodes 10.128.0.0/20",
        ),
        (
            "routes: [{name: a, destination: 192.0.2.0/24, nextHopNode: node-9}]",
            "spec.network.routes[0].nextHopNode: there is no node node-9; allowed is node-1, node-2, node-3",
        ),
        (
            "routes: [{name: a, destination: 192.0.2.0/24, nextHopAddress: 10.1.1.1}]",
            "spec.network.routes[0].nextHopAddress: 10.1.1.1 is in no subnet; allowed is an address in 10.128.0.0/20",
        ),
        (
            "firewall: [{name: default-allow-icmp}]",
            "spec.network.firewall[0].name: default-allow-icmp is a rule that is there; choose another name",
        ),
        (
            "paths: [{between: [us-central1, mars], rate: 1Mbit}]",
            "spec.network.paths[0].between[1]: mars is neither a region nor a zone of this network; allowed are",
        ),
        ("{mtu: 1300, podNetwork: vxlan}", "spec.network.mtu: 1300 leaves pods 1250 in vxlan; allowed is 1330 or more"),
    ],
)
def test_what_a_network_with_its_ranges_shows_to_be_wrong(network: str, message: str) -> None:
    text = network if network.startswith("{") else f"{{{network}}}"
    with pytest.raises(ConfigError) as caught:
        resolved(parse(HEAD + f"spec: {{network: {text}}}"))
    assert f"cluster.yaml:3: {message}" in str(caught.value)


def test_secondary_ranges_that_overlap_are_refused_naming_both() -> None:
    text = "{name: a, podRange: 10.80.0.0/14, secondaryRanges: [{name: more, range: 10.80.0.0/16}]}"
    with pytest.raises(ConfigError, match=r"secondaryRanges\[0\].range: 10.80.0.0/16 overlaps .*podRange 10.80.0.0/14"):
        resolved(parse(HEAD + f"spec: {{network: {{subnets: [{text}]}}}}"))


def test_what_is_asked_for_otherwise_is_named() -> None:
    text = HEAD + "spec: {network: {firewall: [{name: a}], subnets: [{name: default}]}}"
    cluster = resolved(parse(text))
    assert differences(parse(text), cluster) == []
    network = "{firewall: [{name: b}], podNetwork: vxlan, offloads: off, subnets: [{name: default, egress: none}]}"
    other = f"{HEAD}spec: {{network: {network}}}"
    assert differences(parse(other), cluster) == [
        "spec.network.podNetwork: asked for vxlan, has routed",
        "spec.network.offloads: asked for False, has True",
        "spec.network.subnets[0].egress: asked for none, has nat",
        "spec.network.firewall: asked for others than it has",
    ]


@pytest.mark.parametrize(("pods", "prefix"), [(8, 28), (16, 27), (32, 26), (64, 25), (110, 24), (128, 24), (256, 23)])
def test_pod_range_size_is_gkes(pods: int, prefix: int) -> None:
    assert pod_prefix(pods) == prefix


@given(nodes=st.integers(0, 200), pods=st.integers(8, 256), range_prefix=st.integers(20, 29))
def test_addresses_and_pod_ranges_never_collide_nor_leave_their_subnet(
    nodes: int, pods: int, range_prefix: int
) -> None:
    pods_of_subnet = IPv4Network("10.44.0.0/16")
    subnet = SubnetConfig("a", range=IPv4Network(f"10.9.0.0/{range_prefix}"), pod_range=pods_of_subnet)
    config = replace(ClusterConfig(), nodes=numbered_nodes(nodes), subnets=(subnet,), max_pods_per_node=pods)
    try:
        cluster = resolved(config)
    except ConfigError:
        return
    addresses = [node.address for node in cluster.nodes]
    reserved = {cluster.subnets[0].gateway, cluster.api_vpc_address}
    assert len(set(addresses) | reserved) == nodes + 2
    assert all(address in cluster.subnets[0].range for address in addresses)
    starts = [node.pod_range for node in cluster.nodes if node.pod_range is not None]
    assert len(set(starts)) == min(nodes, pods_of_subnet.num_addresses >> (32 - pod_prefix(pods)))
    assert all(pod_range.subnet_of(pods_of_subnet) for pod_range in starts)


def test_a_port_in_use_names_the_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        config = parse(HEAD + f"spec:\n  apiServer:\n    port: {port}\n")
        with pytest.raises(ConfigError) as caught:
            resolve(config, taken=[], port_owner=port_owner)
    assert f"cluster.yaml:5: spec.apiServer.port: port {port} of 127.0.0.1 is in use by process " in str(caught.value)


def test_a_free_port_is_chosen_beside_one_in_use() -> None:
    def owner(address: IPv4Address, port: int) -> str | None:
        return "cluster lab" if port < 6445 else None

    assert resolve(ClusterConfig(), taken=[], port_owner=owner).api_port == 6445


def test_an_address_that_is_not_the_hosts_is_refused() -> None:
    with pytest.raises(ConfigError, match="name an address of this host"):
        port_owner(IPv4Address("192.0.2.77"), 6443)


def test_the_examples_of_the_documentation_can_be_had() -> None:
    page = (Path(__file__).parents[3] / "docs" / "cluster-config.md").read_text()
    examples = [part.partition("```")[0] for part in page.split("```yaml\n")[1:]]
    found = [resolved(parse(example)) for example in examples]
    assert [cluster.name for cluster in found] == ["lab", "wide"]
    assert replace(found[0], name="netsim") == resolved()
    assert [node.name for node in found[1].nodes] == ["web-1", "web-2", "db-1"]


def test_a_configuration_that_is_not_there_or_broken_is_told_with_the_way_out(tmp_path: Path) -> None:
    directory = tmp_path / "lab"
    directory.mkdir()
    with pytest.raises(ConfigError, match=r"cluster\.json: cannot be read: No such file.*netsim down --name lab"):
        ResolvedCluster.load(directory)
    (directory / CLUSTER_FILE).write_text("{broken")
    with pytest.raises(ConfigError, match=r"cluster\.json: cannot be read: Expecting.*netsim down --name lab"):
        list(other_clusters("netsim", directory=tmp_path))
