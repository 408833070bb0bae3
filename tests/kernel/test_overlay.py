"""Pods over vxlan: what nodes have for it in the kernel, and packets that show it on the wire."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from netsim import inventory, namespace
from netsim.vpc import NodePlan, SubnetPlan, Vpc, VpcPlan, overlay
from tests.conftest import Eventually
from tests.kernel import world

NODES = (
    NodePlan("one", "east", "100.60.0.11", "100.64.1.0/24"),
    NodePlan("two", "west", "100.61.0.11", "100.68.1.0/24"),
)
POD_ONE, POD_TWO = "100.64.1.2", "100.68.1.2"


def plan_of(cluster: str) -> VpcPlan:
    subnets = (
        SubnetPlan("east", "100.60.0.0/20", "100.60.0.1", "100.64.0.0/16"),
        SubnetPlan("west", "100.61.0.0/20", "100.61.0.1", "100.68.0.0/16"),
    )
    return VpcPlan(cluster, subnets, "100.72.0.0/20", "100.73.0.0/24", "100.60.0.2", overlay=True)


@pytest.fixture
def vpc(host: None, cluster: str) -> Iterator[Vpc]:
    """Two nodes in two subnets; each holds a pod's address on its loopback."""
    plan = plan_of(cluster)
    try:
        with Vpc(plan) as made:
            made.ensure(NODES)
            for node, pod in (("one", POD_ONE), ("two", POD_TWO)):
                world.run("ip", "address", "add", f"{pod}/32", "dev", "lo", netns=plan.node_namespace(node))
            yield made
    finally:
        inventory.remove(cluster)


def test_a_node_has_what_flannel_gives_it(vpc: Vpc) -> None:
    one = vpc.plan.node_namespace("one")
    shown = world.run("ip", "-d", "link", "show", "flannel.1", netns=one)
    assert "mtu 1410" in shown
    assert "vxlan id 1 local 100.60.0.11 dev eth0" in shown
    assert "dstport 8472 nolearning" in shown
    assert "inet 100.64.1.0/32" in world.run("ip", "address", "show", "flannel.1", netns=one)
    assert "100.68.1.0/24 via 100.68.1.0 dev flannel.1" in world.run("ip", "route", netns=one)
    neighbours = world.run("ip", "neigh", "show", "dev", "flannel.1", netns=one)
    mac = neighbours.split()[2]
    assert neighbours.split()[:1] + neighbours.split()[3:] == ["100.68.1.0", "PERMANENT"]
    assert f"{mac} dst 100.61.0.11 self permanent" in world.run("bridge", "fdb", "show", "dev", "flannel.1", netns=one)
    assert mac in world.run("ip", "link", "show", "flannel.1", netns=vpc.plan.node_namespace("two"))


def test_pods_reach_each_other_in_vxlan_and_the_vpc_does_not_see_their_addresses(
    vpc: Vpc, eventually: Eventually
) -> None:
    router, one = vpc.plan.router_namespace, vpc.plan.node_namespace("one")
    argv = ["ip", "netns", "exec", router, "tcpdump", "-l", "-n", "-i", "br-west", "-c", "2", "udp or icmp"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as capture:
        assert capture.stderr is not None
        while "listening on" not in capture.stderr.readline():
            pass
        assert world.ping(POD_TWO, netns=one, source=POD_ONE)
        seen, _ = capture.communicate(timeout=60)
    assert "100.60.0.11." in seen
    assert "100.61.0.11.8472: OTV" in seen or "VXLAN" in seen
    assert "unreachable 100.68.0.0/16" in world.run("ip", "route", netns=router)


def test_what_pods_send_elsewhere_has_their_nodes_address(vpc: Vpc) -> None:
    plan, two = vpc.plan, vpc.plan.node_namespace("two")
    with namespace.entered(plan.node_path("one")):
        client = socket.socket()
    with world.answering(two, NODES[1].address, 80, "node"), client:
        client.settimeout(20)
        client.bind((POD_ONE, 0))
        client.connect((NODES[1].address, 80))
        assert client.recv(100).decode() == f"node {NODES[0].address}"
    assert world.ping(POD_ONE), "the host reaches pods by the router's own link"
    with world.answering(two, POD_TWO, 80, "pod"):
        assert world.ask(POD_TWO, 80) == "pod 169.254.64.1"
    saved = world.run("iptables-save", "-t", "nat", netns=plan.node_namespace("one"))
    assert saved.count("-j FLANNEL-POSTRTG") == 1
    assert (
        f'-A FLANNEL-POSTRTG -s {NODES[0].pod_range} -d 100.68.0.0/16 -m comment --comment "flanneld masq" -j RETURN'
        in saved
    )


def test_nodes_come_and_go_and_a_second_daemon_changes_nothing(vpc: Vpc) -> None:
    one = vpc.plan.node_namespace("one")

    def state() -> list[str]:
        links, routes = world.run("ip", "-d", "-o", "link", netns=one), world.run("ip", "route", netns=one)
        neighbours = world.run("ip", "neigh", "show", "dev", "flannel.1", netns=one)
        rules = [line for line in world.run("iptables-save", netns=one).splitlines() if line.startswith("-A")]
        return [*links.splitlines(), *routes.splitlines(), *neighbours.splitlines(), *rules]

    before = state()
    with Vpc(vpc.plan) as adopted:
        adopted.ensure(NODES)
    assert state() == before
    three = NodePlan("three", "west", "100.61.0.12", "100.68.2.0/24")
    vpc.ensure_node(three)
    assert "100.68.2.0/24 via 100.68.2.0 dev flannel.1" in world.run("ip", "route", netns=one)
    world.run("ip", "address", "add", "100.68.2.2/32", "dev", "lo", netns=vpc.plan.node_namespace("three"))
    assert world.ping("100.68.2.2", netns=one, source=POD_ONE)
    vpc.delete_node("three")
    assert state() == before
    vpc.ensure_node(replace(NODES[1], pod_range=""))
    assert "flannel.1" not in world.run("ip", "link", netns=vpc.plan.node_namespace("two"))
    assert "100.68.1.0" not in world.run("ip", "neigh", netns=one)


def test_a_node_that_was_taken_away_by_hand_keeps_no_other_from_coming(vpc: Vpc) -> None:
    namespace.delete_namespace(vpc.plan.node_namespace("two"))
    vpc.ensure_node(NodePlan("three", "west", "100.61.0.12", "100.68.2.0/24"))
    for _ in range(2):
        vpc.ensure_node(NODES[1])
        two = vpc.plan.node_namespace("two")
        assert "flannel.1" in world.run("ip", "link", netns=two)
        assert "-j FLANNEL-POSTRTG" in world.run("iptables-save", netns=two)
        namespace.delete_namespace(two)


def test_a_packet_too_large_for_the_tunnel_comes_back_with_the_mtu(vpc: Vpc) -> None:
    one = vpc.plan.node_namespace("one")
    fits = world.attempt("ping", "-I", POD_ONE, "-c1", "-W1", "-M", "do", "-s", "1382", POD_TWO, netns=one)
    assert fits.returncode == 0
    refused = world.attempt("ping", "-I", POD_ONE, "-c1", "-W1", "-M", "do", "-s", "1383", POD_TWO, netns=one)
    assert "mtu=1410" in refused.stdout + refused.stderr


def test_with_one_range_the_rules_are_flannels_own() -> None:
    subnet = SubnetPlan("default", "10.128.0.0/20", "10.128.0.1", "10.244.0.0/16")
    plan = VpcPlan("lab", (subnet,), "10.96.0.0/20", "203.0.113.0/24", "10.128.0.2", overlay=True)
    masq = '-m comment --comment "flanneld masq"'
    assert overlay.masquerade_text(plan, NodePlan("n", "default", "10.128.0.11", "10.244.1.0/24")).splitlines()[
        2:-1
    ] == [
        f"-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 {masq} -j RETURN",
        f"-A FLANNEL-POSTRTG -s 10.244.1.0/24 -d 10.244.0.0/16 {masq} -j RETURN",
        f"-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d 10.244.1.0/24 {masq} -j RETURN",
        f"-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.1.0/24 {masq} -j RETURN",
        f"-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 {masq} -j MASQUERADE --random-fully",
        f"-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 {masq} -j MASQUERADE --random-fully",
    ]
