"""A VPC of two regions and three zones, by packets: its firewall, custom routes, NAT and what its ways carry."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from netsim import inventory, namespace, probe
from netsim.errors import MissingRequirement
from netsim.mark import Mark
from netsim.namespace import namespace_path
from netsim.probe import features
from netsim.vpc import FirewallRule, NodePlan, PathRule, StaticRoute, SubnetPlan, Vpc, VpcPlan, shaping, uplink
from tests.conftest import Eventually
from tests.kernel import world

EAST, EAST_C, WEST = "us-east1-b", "us-east1-c", "us-west1-a"
NODES = (
    NodePlan("one", "east", "100.60.0.11", "100.64.1.0/24", EAST, ("web",)),
    NodePlan("two", "east", "100.60.0.12", "100.64.2.0/24", EAST_C),
    NodePlan("three", "west", "100.61.0.11", "100.68.1.0/24", WEST, ("db",)),
)
ONE, TWO, THREE = (node.address for node in NODES)


def plan_of(cluster: str, *, firewall: tuple[FirewallRule, ...] = (), routes: tuple[StaticRoute, ...] = ()) -> VpcPlan:
    subnets = (
        SubnetPlan("east", "100.60.0.0/20", "100.60.0.1", "100.64.0.0/14", region="us-east1"),
        SubnetPlan("west", "100.61.0.0/20", "100.61.0.1", "100.68.0.0/14", region="us-west1", egress=False),
    )
    return VpcPlan(cluster, subnets, "100.72.0.0/20", "100.73.0.0/24", "100.60.0.2", firewall=firewall, routes=routes)


@contextmanager
def made(plan: VpcPlan) -> Iterator[Vpc]:
    try:
        with Vpc(plan) as vpc:
            vpc.ensure(NODES)
            yield vpc
    finally:
        inventory.remove(plan.cluster)


def open_port(plan: VpcPlan, node: str, address: str, *, origin: str, port: int = 80) -> bool:
    """Whether a TCP connection from a node (or, without one, the host) to a port of another is made within a second."""
    with world.answering(plan.node_namespace(node), address, port, "hello"):
        if not origin:
            client = socket.socket()
        else:
            with namespace.entered(plan.node_path(origin)):
                client = socket.socket()
        with client:
            client.settimeout(1)
            try:
                client.connect((address, port))
            except TimeoutError:
                return False
            return True


def test_as_it_is_made_everyone_in_it_reaches_everyone_and_strangers_few_ports(host: None, cluster: str) -> None:
    plan = plan_of(cluster)
    with made(plan) as vpc:
        assert world.ping(THREE, netns=plan.node_namespace("one"))
        assert world.ping(TWO, netns=plan.node_namespace("one"))
        assert open_port(plan, "three", THREE, origin="one")
        assert open_port(plan, "three", THREE, origin=""), "the host is the control plane"
        before = vpc.firewall_counters()
        assert before["gke-" + cluster + "-vms"].packets >= 3
        assert before["gke-" + cluster + "-master"].packets == 1
        assert before["established"].packets > 0
        world.run("ip", "address", "add", "198.18.0.9/32", "dev", "lo")
        assert not stranger_reaches(plan, 80)
        assert stranger_reaches(plan, 22), "as default-allow-ssh says"
        counted = vpc.firewall_counters()
        assert counted["implied-deny-ingress"].packets > before["implied-deny-ingress"].packets == 0
        assert counted["default-allow-ssh"].packets == 1


def stranger_reaches(plan: VpcPlan, port: int) -> bool:
    with world.answering(plan.node_namespace("one"), ONE, port, "hello"), socket.socket() as client:
        client.bind(("198.18.0.9", 0))
        client.settimeout(1)
        try:
            client.connect((ONE, port))
        except TimeoutError:
            return False
        return True


def test_rules_by_tag_priority_and_direction_count_and_follow_the_nodes(host: None, cluster: str) -> None:
    rules = (
        FirewallRule("no-web", action="deny", priority=900, protocols=("tcp:80",), target_tags=("web",)),
        FirewallRule("but-db", priority=800, protocols=("tcp:80",), source_tags=("db",), target_tags=("web",)),
        FirewallRule(
            "db-stays", "egress", "deny", priority=100, protocols=("tcp:81",), target_tags=("db",), logging=True
        ),
        FirewallRule("off", action="deny", priority=1, disabled=True),
    )
    plan = plan_of(cluster, firewall=rules)
    with made(plan) as vpc:
        assert not open_port(plan, "one", ONE, origin="two"), "also within one subnet"
        assert open_port(plan, "one", ONE, origin="three")
        assert open_port(plan, "one", ONE, origin="two", port=81)
        assert not open_port(plan, "one", ONE, origin="three", port=81)
        counted = vpc.firewall_counters()
        assert counted["no-web"].packets >= 1
        assert counted["but-db"].packets == 1
        assert counted["db-stays"].packets >= 1
        assert counted["off"].packets == 0
        vpc.ensure_node(replace(NODES[1], tags=("db",)))
        assert open_port(plan, "one", ONE, origin="two"), "a node that has the tag from now on"
        assert vpc.firewall_counters()["no-web"] == counted["no-web"], "counters go on from where they were"
        with Vpc(replace(plan, firewall=rules[:1])) as adopted:
            adopted.ensure(NODES)
            assert adopted.firewall_counters()["no-web"] == counted["no-web"]
            assert "but-db" not in adopted.firewall_counters()


def test_nodes_of_one_subnet_reach_each_other_by_the_router_only(host: None, cluster: str) -> None:
    plan = plan_of(cluster)
    with made(plan):
        world.run("ip", "route", "add", "100.60.0.0/20", "dev", "eth0", netns=plan.node_namespace("one"))
        assert not world.ping(TWO, netns=plan.node_namespace("one")), "not by the bridge, past the firewall"
        assert "isolated on" in world.run("bridge", "-d", "link", "show", netns=plan.router_namespace)


def test_custom_routes_by_prefix_priority_and_tag(host: None, cluster: str) -> None:
    routes = (
        StaticRoute("by-two", "198.18.1.0/24", node="two"),
        StaticRoute("by-three", "198.18.1.0/24", address=THREE, priority=500, tags=("web",)),
        StaticRoute("gone", "198.18.2.0/24", node="four"),
        StaticRoute("out", "198.18.3.0/24"),
    )
    plan = plan_of(cluster, routes=routes)
    with made(plan) as vpc:
        router = plan.router_namespace
        for node in ("two", "three"):
            world.run("ip", "address", "add", "198.18.1.1/32", "dev", "lo", netns=plan.node_namespace(node))
        world.run("ip", "address", "add", "198.18.3.1/32", "dev", "lo")
        assert f"via {TWO}" in world.run("ip", "route", "get", "198.18.1.1", netns=router)
        tagged = world.run("ip", "route", "get", "198.18.1.1", "from", ONE, "iif", "br-east", netns=router)
        assert f"via {THREE}" in tagged
        inside = world.run("ip", "route", "get", TWO, "from", ONE, "iif", "br-east", netns=router)
        assert f"{TWO} from {ONE} dev br-east" in inside, "a subnet goes before every custom route"
        assert "198.18.2.0/24" not in world.run("ip", "route", netns=router)
        assert "dev uplink" in world.run("ip", "route", "get", "198.18.3.1", netns=router)
        assert answering_node(plan, "one") == "three"
        assert world.ping("198.18.3.1", netns=plan.node_namespace("one"))
        vpc.ensure_node(replace(NODES[0], tags=()))
        assert answering_node(plan, "one") == "two"
        assert "7800" not in world.run("ip", "rule", netns=router)
        vpc.delete_node("two")
        assert "198.18.1.0/24" not in world.run("ip", "route", netns=router), "a route goes with its next hop"


def answering_node(plan: VpcPlan, origin: str) -> str:
    two, three = (plan.node_namespace(name) for name in ("two", "three"))
    with world.answering(two, "198.18.1.1", 80, "two"), world.answering(three, "198.18.1.1", 80, "three"):
        return world.ask("198.18.1.1", 80, netns=plan.node_namespace(origin)).split()[0]


@pytest.fixture
def outside(host: None, cluster: str) -> Iterator[str]:
    """The router of the host's own network, which knows the way back to whatever reaches it."""
    name = f"{cluster}-outside"
    namespace.create_namespace(name, Mark(cluster, "node", "outside"))
    world.run("ip", "link", "set", "far", "netns", name)
    world.run("ip", "address", "add", "192.0.2.1/24", "dev", "far", netns=name)
    world.run("ip", "link", "set", "far", "up", netns=name)
    world.run("ip", "route", "add", "default", "via", "192.0.2.2", netns=name)
    yield "192.0.2.1"
    namespace.delete_namespace(name)


def test_a_subnet_without_egress_stays_inside(outside: str, cluster: str) -> None:
    plan = plan_of(cluster)
    with made(plan):
        assert world.ping(outside, netns=plan.node_namespace("one"))
        assert not world.ping(outside, netns=plan.node_namespace("three"))
        assert world.ping(THREE), "from the host it is reached all the same"
        table = world.run("nft", "list", "table", "ip", uplink.table_name(cluster))
        assert re.search(r"100\.61\.0\.0/20.* counter packets [1-9].* drop", table)


def rate_between(plan: VpcPlan, origin: str, node: str, seconds: float = 1.2) -> float:
    """Megabits a second that one TCP connection carries, after its start."""
    address = next(each.address for each in NODES if each.name == node)
    with namespace.entered(plan.node_path(node)):
        listener = socket.create_server((address, 5001))
    ending = threading.Event()

    def send() -> None:
        with namespace.entered(namespace_path(plan.node_namespace(origin))):
            client = socket.socket()
        with client:
            client.settimeout(5)
            client.connect((address, 5001))
            while not ending.is_set():
                client.sendall(bytes(20_000))

    sender = threading.Thread(target=send)
    with listener:
        sender.start()
        connection, _ = listener.accept()
        with connection:
            connection.recv(1 << 20)
            time.sleep(0.2)
            began, received = time.monotonic(), 0
            while time.monotonic() - began < seconds:
                received += len(connection.recv(1 << 20))
            ending.set()
            while connection.recv(1 << 20):
                pass
    sender.join()
    return received * 8 / seconds / 1e6


def test_rates_hold_between_regions_and_zones_and_nowhere_else(host: None, cluster: str) -> None:
    plan = plan_of(cluster)
    with made(plan) as vpc:
        vpc.set_paths([PathRule(("us-east1", "us-west1"), rate=20_000_000), PathRule((EAST, EAST_C), rate=50_000_000)])
        assert 12 < rate_between(plan, "one", "three") < 24
        assert 12 < rate_between(plan, "three", "two") < 24
        assert 30 < rate_between(plan, "one", "two") < 60
        minor = f"{shaping.ways([PathRule(('us-east1', 'us-west1'))])[0].minor:x}"
        leaf = ("dev", "br-west", "parent", f"1:{minor}")
        marked = world.run("tc", "-s", "class", "show", "dev", "br-west", netns=plan.router_namespace)
        vpc.set_paths([PathRule(("us-east1", "us-west1"), rate=20_000_000)])
        assert rate_between(plan, "one", "two") > 100
        assert sent_bytes(marked) == sent_bytes(
            world.run("tc", "-s", "class", "show", "dev", "br-west", netns=plan.router_namespace)
        ), "the other class was not made anew"
        world.run("tc", "qdisc", "del", *leaf, netns=plan.router_namespace)
        world.run("tc", "qdisc", "add", *leaf, "handle", f"{minor}:", "pfifo", netns=plan.router_namespace)
        vpc.set_paths([PathRule(("us-east1", "us-west1"), rate=10_000_000)])
        assert f"bfifo {minor}:" in world.run("tc", "qdisc", "show", "dev", "br-west", netns=plan.router_namespace)
        vpc.set_paths([])
        assert "class htb" not in world.run("tc", "class", "show", "dev", "br-west", netns=plan.router_namespace)


def sent_bytes(shown: str) -> list[str]:
    return [line.split()[1] for line in shown.splitlines() if line.startswith(" Sent") and line.split()[1] != "0"]


def test_delay_and_loss_are_there_or_the_missing_module_is_named(host: None, cluster: str) -> None:
    plan = plan_of(cluster)
    slow = PathRule(("us-east1", "us-west1"), rate=20_000_000, delay=40_000, jitter=1_000)
    with made(plan) as vpc:
        if not features.has_netem():
            with pytest.raises(MissingRequirement, match=r"^spec.network.paths\[0\].delay: .* sch_netem"):
                probe.require_netem("spec.network.paths[0].delay")
            with pytest.raises(MissingRequirement, match="sch_netem"):
                vpc.set_paths([slow])
            return
        vpc.set_paths([slow])
        began = time.monotonic()
        assert world.ping(THREE, netns=plan.node_namespace("one"))
        assert time.monotonic() - began > 0.07
        shown = world.run("tc", "qdisc", "show", "dev", "br-west", netns=plan.router_namespace)
        assert "delay 40ms  1ms" in shown
        assert "loss" not in shown
        vpc.set_paths([PathRule(("us-east1", "us-west1"), rate=20_000_000, loss=100.0)])
        assert not world.ping(THREE, netns=plan.node_namespace("one"))
        assert world.ping(TWO, netns=plan.node_namespace("one")), "inside the region nothing is lost"
        vpc.set_paths([])
        assert world.ping(THREE, netns=plan.node_namespace("one"))


def test_a_packet_too_large_for_a_link_on_its_way_comes_back_with_the_mtu(
    host: None, cluster: str, eventually: Eventually
) -> None:
    plan = plan_of(cluster)
    one = plan.node_namespace("one")
    with made(plan):
        links = world.run("ip", "-o", "link", "show", netns=plan.router_namespace)
        assert all("mtu 1460" in line for line in links.splitlines() if " lo:" not in line)
        assert world.attempt("ping", "-c1", "-W1", "-M", "do", "-s", "1432", THREE, netns=one).returncode == 0
        world.run("ip", "link", "set", "br-west", "mtu", "1300", netns=plan.router_namespace)
        refused = world.attempt("ping", "-c1", "-W1", "-M", "do", "-s", "1432", THREE, netns=one)
        assert "mtu = 1300" in refused.stdout + refused.stderr
        assert "mtu 1300" in world.run("ip", "route", "get", THREE, netns=one)
        assert world.attempt("ping", "-c1", "-W1", "-M", "do", "-s", "1272", THREE, netns=one).returncode == 0
