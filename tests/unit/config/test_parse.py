"""cluster.yaml: what is read, and how each mistake is told."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from controlplane.config import ClusterConfig, ConfigError, NodeConfig, SubnetConfig
from controlplane.config.names import check_cluster_name
from controlplane.config.parse import load, parse
from netsim.vpc import FirewallRule, PathRule, StaticRoute

HEAD = "apiVersion: netsim.io/v1alpha1\nkind: Cluster\n"

FULL = """\
apiVersion: netsim.io/v1alpha1
kind: Cluster
metadata: {name: lab}
spec:
  nodes:
    - {name: a, subnet: west, zone: europe-west1-b, labels: {disk: ssd}, tags: [web], machineType: e2-medium}
    - {name: b, cpu: 4, memory: 8Gi, taints: [{key: example.com/edge, value: "yes", effect: NoSchedule}]}
  nodePools:
    - {name: big, nodes: 1, region: europe-west1, zones: [europe-west1-c, europe-west1-d], maxPodsPerNode: 64,
       podRange: more, tags: [db]}
  dns:
    stubDomains: {Corp.example: [10.1.2.3, "10.1.2.4:5353"]}
    upstreamNameservers: [9.9.9.9]
  apiServer: {address: 127.0.0.2, port: 7443}
  network:
    mode: custom
    podNetwork: vxlan
    mtu: 1400
    offloads: off
    subnets:
      - {name: default, region: us-central1, range: 10.128.0.0/20, podRange: 10.44.0.0/14}
      - {name: west, region: europe-west1, egress: none, secondaryRanges: [{name: more, range: 10.80.0.0/16}]}
    serviceRange: 10.48.0.0/20
    loadBalancerRange: 203.0.113.0/24
    egress: none
    routes:
      - {name: away, destination: 198.18.0.0/16, nextHopNode: a, priority: 5, tags: [web]}
      - {name: there, destination: 198.19.0.0/16, nextHopAddress: 10.128.0.20}
      - {name: out, destination: 0.0.0.0/0, nextHopGateway: internet}
    firewall:
      - {name: no-db, direction: egress, action: deny, priority: 10, protocols: ["tcp:5432", icmp, 47],
         destinationRanges: [10.0.0.0/8], targetTags: [web], disabled: true, logging: true}
      - {name: in, sourceRanges: [192.0.2.0/24], sourceTags: [db]}
    paths:
      - {between: [us-central1, europe-west1], rate: 1.5Gbit, delay: 50ms, jitter: 500us, loss: 0.1%}
  images: {missing: error}
  storage: {volumes: directory}
  maxPodsPerNode: 32
"""


def test_every_field_is_read() -> None:
    config = parse(FULL)
    assert config == ClusterConfig(
        name="lab",
        nodes=(
            NodeConfig(
                "a",
                subnet="west",
                zone="europe-west1-b",
                labels={"disk": "ssd"},
                tags=("web",),
                machine_type="e2-medium",
            ),
            NodeConfig(
                "b",
                cpu="4",
                memory="8Gi",
                taints=({"key": "example.com/edge", "value": "yes", "effect": "NoSchedule"},),
            ),
        ),
        pool_nodes=tuple(
            NodeConfig(
                f"big-{number}",
                subnet="west",
                zone=zone,
                labels={"cloud.google.com/gke-nodepool": "big"},
                max_pods=64,
                pod_range="more",
                tags=("db",),
            )
            for number, zone in ((1, "europe-west1-c"), (2, "europe-west1-d"))
        ),
        api_address=IPv4Address("127.0.0.2"),
        api_port=7443,
        mode="custom",
        pod_network="vxlan",
        mtu=1400,
        offloads=False,
        subnets=(
            SubnetConfig("default", "us-central1", IPv4Network("10.128.0.0/20"), IPv4Network("10.44.0.0/14")),
            SubnetConfig("west", "europe-west1", secondary={"more": IPv4Network("10.80.0.0/16")}, egress="none"),
        ),
        routes=(
            StaticRoute("away", "198.18.0.0/16", node="a", priority=5, tags=("web",)),
            StaticRoute("there", "198.19.0.0/16", address="10.128.0.20"),
            StaticRoute("out", "0.0.0.0/0"),
        ),
        firewall=(
            FirewallRule(
                "no-db",
                direction="egress",
                action="deny",
                priority=10,
                protocols=("tcp:5432", "icmp", "47"),
                destination_ranges=("10.0.0.0/8",),
                target_tags=("web",),
                disabled=True,
                logging=True,
            ),
            FirewallRule("in", source_ranges=("192.0.2.0/24",), source_tags=("db",)),
        ),
        paths=(PathRule(("us-central1", "europe-west1"), 1_500_000_000, 50_000, 500, 0.1),),
        stub_domains={"corp.example": ("10.1.2.3", "10.1.2.4:5353")},
        upstream_nameservers=("9.9.9.9",),
        service_range=IPv4Network("10.48.0.0/20"),
        load_balancer_range=IPv4Network("203.0.113.0/24"),
        egress="none",
        missing_image="error",
        volumes="directory",
        max_pods_per_node=32,
    )
    assert config.sources["spec.network.subnets[1].region"] == "cluster.yaml:22"


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n"])
def test_an_empty_file_is_a_mistake_that_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match="the file says nothing; write at least apiVersion"):
        parse(text)


@pytest.mark.parametrize("text", [HEAD, HEAD + "spec:\n", HEAD + "spec: {network: null}\n"])
def test_what_is_left_out_is_left_free(text: str) -> None:
    assert parse(text) == ClusterConfig()


def test_nodes_by_number() -> None:
    assert [node.name for node in parse(HEAD + "spec: {nodes: 2}\n").nodes or ()] == ["node-1", "node-2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: Cluster\n", "cluster.yaml:1: the field apiVersion is missing; write apiVersion: netsim.io/v1alpha1"),
        (
            "apiVersion: v1\nkind: Cluster\n",
            "cluster.yaml:1: apiVersion: found 'v1'; allowed is netsim.io/v1alpha1",
        ),
        (
            HEAD + "spec:\n  network:\n    qqq: 1.2.3.0/24\n    mtu: 1460\n",
            "cluster.yaml:5: spec.network.qqq: unknown field 'qqq'; allowed is mode, podNetwork, mtu, ",
        ),
        (
            HEAD + "spec:\n  network:\n    serviceranges: 10.0.0.0/20\n",
            "cluster.yaml:5: spec.network.serviceranges: unknown field 'serviceranges'; did you mean serviceRange? ",
        ),
        (
            HEAD + "spec:\n  network: {mode: vxlan}\n",
            "cluster.yaml:4: spec.network.mode: found 'vxlan'; that is for podNetwork: vxlan; ",
        ),
        (
            HEAD + "spec:\n  network:\n    mode: flannel\n",
            "cluster.yaml:5: spec.network.mode: found 'flannel'; allowed is custom or auto",
        ),
        (
            HEAD + "spec: {network: {mtu: 100}}\n",
            "cluster.yaml:3: spec.network.mtu: found 100 (a number); allowed is a whole number from 1280 to 9000",
        ),
        (
            HEAD + "spec: {network: {mtu: '1460'}}\n",
            "cluster.yaml:3: spec.network.mtu: found '1460'; allowed is a whole number from 1280 to 9000",
        ),
        (
            HEAD + "spec: {nodes: many}\n",
            "cluster.yaml:3: spec.nodes: found 'many'; allowed is a number from 0 to 1000, or a list of nodes",
        ),
        (
            HEAD + "spec:\n  nodes:\n  - name: a\n  - name: a\n",
            "cluster.yaml:6: spec.nodes[1]: the name a is there twice; give each its own name",
        ),
        (
            HEAD + "spec: {nodes: [{name: a, subnet: west}]}\n",
            "cluster.yaml:3: spec.nodes[0].subnet: found 'west'; allowed is default",
        ),
        (
            HEAD + "spec: {network: {serviceRange: 10.48.0.1/20}}\n",
            "spec.network.serviceRange: found '10.48.0.1/20'; the host bits must be zero: write 10.48.0.0/20",
        ),
        (
            HEAD + "spec: {network: {serviceRange: 10.48.0.300/20}}\n",
            "spec.network.serviceRange: found '10.48.0.300/20'; allowed is an IPv4 range from /12 to /28",
        ),
        (
            HEAD + "spec: {apiServer: {address: localhost}}\n",
            "spec.apiServer.address: found 'localhost'; allowed is an IPv4 address as 127.0.0.1",
        ),
        (HEAD + "spec: {apiServer: {port: 0}}\n", "found 0 (a number); allowed is a whole number from 1 to 65535"),
        (HEAD + "spec: {nodes: [{name: router}]}\n", "spec.nodes[0].name: found 'router'; allowed are lower-case"),
        (HEAD + "spec: {images: {missing: maybe}}\n", "found 'maybe'; allowed is standin or pull or error"),
        (HEAD + "spec: {network: {subnets: []}}\n", "spec.network.subnets: found no subnet; a cluster needs one"),
        (HEAD + "metadata: {name: Lab}\n", "cluster.yaml:3: metadata.name: found 'Lab'; allowed are lower-case"),
        (HEAD + "metadata: lab\n", "cluster.yaml:3: metadata: found 'lab'; allowed is a mapping with name"),
        (HEAD + "kind: Cluster\n", "cluster.yaml:3: kind: the field kind is there twice; write each field once"),
        (HEAD + "---\n" + HEAD, "cluster.yaml:4: document: a second document; write one document a file"),
        ("apiVersion: [\n", "cluster.yaml:2: not YAML: "),
        ("a:\n\t- b\n", "cluster.yaml:2: not YAML: "),
        (
            HEAD + "spec: {network: {subnets: [{name: a}]}, nodes: [{name: n, zone: us-east1-b}]}",
            "spec.nodes[0].zone: found 'us-east1-b'; subnet a is in region us-central1: allowed is a zone as us-",
        ),
        (
            HEAD + "spec: {nodePools: [{name: p, podRange: x}]}",
            "spec.nodePools[0].podRange: found 'x'; subnet default has no secondaryRanges; name one there",
        ),
        (
            HEAD + "spec: {nodePools: [{name: p, memory: lots}]}",
            "spec.nodePools[0].memory: found 'lots'; allowed is as 8Gi",
        ),
        (
            HEAD + "spec: {nodePools: [{name: p, taints: [{key: a, effect: Never}]}]}",
            "spec.nodePools[0].taints[0].effect: found 'Never'; allowed is NoSchedule or PreferNoSchedule or NoExecute",
        ),
        (HEAD + "spec: {nodePools: [{name: p, zoness: [a]}]}", "unknown field 'zoness'; did you mean zones? "),
        (
            HEAD + "spec: {network: {mode: auto, regions: [moon]}}",
            "spec.network.regions[0]: found 'moon'; allowed is us-central1 or europe-west1 or ",
        ),
        (
            HEAD + "spec: {network: {regions: [us-east1]}}",
            "spec.network.regions: found a list; it goes with mode: auto",
        ),
        (HEAD + "spec: {network: {mode: auto, subnets: []}}", "found a list; mode: auto makes them"),
        (
            HEAD + "spec: {network: {firewall: [{name: a, protocols: ['tcp:90-80']}]}}",
            "spec.network.firewall[0].protocols[0]: found 'tcp:90-80'; allowed is as tcp:80",
        ),
        (
            HEAD + "spec: {network: {firewall: [{name: a, priority: 65536}]}}",
            "firewall[0].priority: found 65536 (a number); allowed is a whole number from 0 to 65535",
        ),
        (
            HEAD + "spec: {network: {firewall: [{name: a, direction: egress, sourceTags: [x]}]}}",
            "firewall[0].sourceTags: found a list; an egress rule is for",
        ),
        (
            HEAD + "spec: {network: {routes: [{name: a, destination: 192.0.2.0/24}]}}",
            "spec.network.routes[0]: a route has one next hop; write one of nextHopNode, nextHopAddress, next",
        ),
        (
            HEAD + "spec: {network: {paths: [{between: [a, b], rate: 5Mbps}]}}",
            "paths[0].rate: found '5Mbps'; allowed is from 8kbit to 100Gbit, as 100Mbit",
        ),
        (HEAD + "spec: {network: {paths: [{between: [a, a], rate: 5Mbit}]}}", "allowed are two different regions"),
        (HEAD + "spec: {network: {paths: [{between: [a, b], loss: 101%}]}}", "allowed is from 0.01% to 100%, as 0.5%"),
        (HEAD + "spec: {dns: {stubDomains: {a: [ns]}}}", "spec.dns.stubDomains.a[0]: found 'ns'; allowed is an IPv4"),
        (HEAD + "spec: &x {nodes: *x}\n", "spec.nodes: found a mapping; allowed is a number"),
    ],
)
def test_a_mistake_is_told_with_line_field_and_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    assert message in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file or directory"):
        load(tmp_path / "none.yaml")


def test_a_file_that_is_not_text_is_named(tmp_path: Path) -> None:
    file = tmp_path / "cluster.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(file)


@pytest.mark.parametrize("name", ["netsim", "a", "lab-2", "a" * 30])
def test_cluster_names_that_can_be(name: str) -> None:
    assert check_cluster_name(name) == name


@pytest.mark.parametrize("name", ["", "Lab", "2lab", "lab-", "a" * 31, "a/b", "..", "lab\n"])
def test_cluster_names_that_cannot(name: str) -> None:
    with pytest.raises(ConfigError, match="lower-case letters"):
        check_cluster_name(name)
