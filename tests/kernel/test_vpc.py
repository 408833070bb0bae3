import socket
from collections.abc import Iterator

import pytest

from netsim import link, namespace, pins, route, sysctl
from netsim.errors import AlreadyExists, KernelError
from netsim.netlink import Netlink
from netsim.vpc import Vpc, VpcPlan, uplink
from tests.kernel import world


def take_down(plan: VpcPlan, nodes: int) -> None:
    """Without the inventory, which has tests of its own."""
    with Netlink() as host:
        uplink.release(host, plan.cluster)
    for name in [plan.router_namespace, *(plan.node_namespace(f"node-{number}") for number in range(1, nodes + 1))]:
        namespace.delete_namespace(name)
    pins.remove_netns_directory()


@pytest.fixture
def plan(cluster: str) -> VpcPlan:
    return world.plan_of(cluster)


@pytest.fixture
def vpc(plan: VpcPlan) -> Iterator[Vpc]:
    try:
        with Vpc(plan) as made:
            made.ensure()
            for number in (1, 2):
                made.ensure_node(world.node_of(plan, number))
            yield made
    finally:
        take_down(plan, 2)


def test_everyone_reaches_everyone(vpc: Vpc, plan: VpcPlan) -> None:
    one, two = world.node_of(plan, 1), world.node_of(plan, 2)
    inside = plan.node_namespace("node-1")
    assert world.ping(two.address, netns=inside), "node to node"
    assert world.ping(plan.subnets[0].gateway, netns=inside), "node to gateway"
    assert world.ping(one.address), "host to node"
    assert world.ping(plan.api_address), "host to the router's second address"


def test_a_node_looks_like_one_on_gce(vpc: Vpc, plan: VpcPlan) -> None:
    inside = plan.node_namespace("node-1")
    assert f"{world.node_of(plan, 1).address}/32" in world.run("ip", "-4", "address", "show", "eth0", netns=inside)
    assert world.run("ip", "route", netns=inside).splitlines()[0].startswith("default via 100.50.0.1 dev eth0")
    assert "mtu 1460" in world.run("ip", "link", "show", "eth0", netns=inside)


@pytest.mark.parametrize("address", ["100.51.99.9", "100.52.0.9", "100.53.0.9"], ids=["pod", "service", "balancer"])
def test_what_nobody_holds_is_unreachable_at_once(vpc: Vpc, plan: VpcPlan, address: str) -> None:
    with pytest.raises(OSError, match="No route to host"):
        world.ask(address, 80, netns=plan.node_namespace("node-1"))


def test_pod_ranges_go_to_their_node_until_it_is_deleted(vpc: Vpc, plan: VpcPlan) -> None:
    two = world.node_of(plan, 2)
    pod = "100.51.2.2"
    assert f"via {two.address}" in world.run("ip", "route", "get", pod, netns=plan.router_namespace)
    vpc.delete_node("node-2")
    assert world.attempt("ip", "route", "get", pod, netns=plan.router_namespace).returncode != 0
    assert not namespace.exists(plan.node_namespace("node-2"))
    vpc.delete_node("node-2")
    vpc.ensure_node(two)
    assert world.ping(two.address)


def test_a_second_run_changes_nothing(vpc: Vpc, plan: VpcPlan) -> None:
    def state() -> list[str]:
        names = ["", plan.router_namespace, plan.node_namespace("node-1")]
        seen = [world.run("ip", "-o", *what, netns=name) for name in names for what in (["link"], ["route"])]
        return [*seen, world.run("nft", "list", "ruleset")]

    vpc.set_load_balancers({"100.53.0.1": ["100.50.0.11", "100.50.0.12"]})
    before = state()
    with Vpc(plan) as adopted:
        adopted.ensure()
        for number in (1, 2):
            adopted.ensure_node(world.node_of(plan, number))
        adopted.set_load_balancers({"100.53.0.1": ["100.50.0.12", "100.50.0.11"]})
    assert state() == before


def test_what_was_broken_by_hand_is_mended(vpc: Vpc, plan: VpcPlan) -> None:
    world.run("ip", "route", "delete", plan.subnets[0].range)
    world.run("ip", "route", "delete", "100.51.2.0/24", netns=plan.router_namespace)
    world.run("ip", "link", "set", "eth0", "down", netns=plan.node_namespace("node-1"))
    world.run("ip", "link", "delete", "nic-node-2", netns=plan.router_namespace)
    world.run("nft", "delete", "table", "ip", uplink.table_name(plan.cluster))
    world.run("nft", "delete", "table", "ip", "vpc", netns=plan.router_namespace)
    vpc.ensure()
    for number in (1, 2):
        vpc.ensure_node(world.node_of(plan, number))
        assert world.ping(world.node_of(plan, number).address)
    assert "implied-deny-ingress" in world.run("nft", "list", "table", "ip", "vpc", netns=plan.router_namespace)
    assert "masquerade" in world.run("nft", "list", "table", "ip", uplink.table_name(plan.cluster))


def test_load_balancer_addresses_spread_over_nodes_and_go_when_unset(vpc: Vpc, plan: VpcPlan) -> None:
    balancer = "100.53.0.1"
    nodes = [world.node_of(plan, number).address for number in (1, 2)]
    vpc.set_load_balancers({balancer: nodes, "100.53.0.2": [nodes[0]], "100.53.0.3": []})
    table = world.run("ip", "route", netns=plan.router_namespace)
    assert all(f"nexthop via {node}" in table for node in nodes)
    on_host = world.run("ip", "route")
    assert f"{balancer} via" in on_host
    assert plan.load_balancer_range not in on_host, "what the host reaches in the range otherwise stays reachable"
    for number in (1, 2):
        name = plan.node_namespace(f"node-{number}")
        world.run("ip", "address", "add", f"{balancer}/32", "dev", "lo", netns=name)
    one, two = (plan.node_namespace(f"node-{number}") for number in (1, 2))
    with world.answering(one, balancer, 80, "one"), world.answering(two, balancer, 80, "two"):
        answers = {world.ask(balancer, 80).split()[0] for _ in range(40)}
    assert answers == {"one", "two"}
    vpc.set_load_balancers({})
    assert balancer not in world.run("ip", "route", netns=plan.router_namespace)
    assert balancer not in world.run("ip", "route")
    assert "unreachable 100.53.0.0/24" in world.run("ip", "route", netns=plan.router_namespace)


def test_a_listener_in_the_router_is_reached_from_a_node(vpc: Vpc, plan: VpcPlan) -> None:
    listener = vpc.router_listener(plan.api_address, 6443)
    with listener:
        world.attempt(
            "busybox", "nc", "-w", "2", plan.api_address, "6443", "-e", "true", netns=plan.node_namespace("node-1")
        )
        listener.settimeout(20)
        connection, peer = listener.accept()
        connection.close()
        assert peer[0] == world.node_of(plan, 1).address
        with pytest.raises(KernelError, match="in use"):
            vpc.router_listener(plan.api_address, 6443)


def test_a_receiver_in_the_router_is_reached_from_a_node_and_answers(vpc: Vpc, plan: VpcPlan) -> None:
    with vpc.router_receiver(plan.api_address, 53) as receiver, namespace.entered(plan.node_path("node-1")):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with client:
            client.settimeout(20)
            client.sendto(b"question", (plan.api_address, 53))
            receiver.settimeout(20)
            question, peer = receiver.recvfrom(100)
            assert (question, peer[0]) == (b"question", world.node_of(plan, 1).address)
            receiver.sendto(b"answer", peer)
            assert client.recv(100) == b"answer"
    with vpc.router_receiver(plan.api_address, 53), pytest.raises(KernelError, match="in use"):
        vpc.router_receiver(plan.api_address, 53)


def test_the_host_is_as_it_was_also_with_two_clusters(host: None, cluster: str) -> None:
    before = world.host_state(cluster)
    plans = [world.plan_of(f"{cluster}-{letter}", number) for number, letter in ((1, "a"), (2, "b"))]
    for plan in plans:
        with Vpc(plan) as vpc:
            vpc.ensure()
            vpc.ensure_node(world.node_of(plan, 1))
    across = world.node_of(plans[1], 1).address
    assert world.ping(across)
    take_down(plans[0], 1)
    assert world.ping(across), "the other cluster is not touched"
    assert sysctl.read("net.ipv4.conf.eth0.forwarding") == "1", "and still needs what the first has changed"
    take_down(plans[1], 1)
    assert world.host_state(cluster) == before


def test_a_foreign_link_of_our_name_is_not_taken(plan: VpcPlan) -> None:
    name = uplink.host_link_name(plan.cluster)
    world.run("ip", "link", "add", name, "type", "bridge")
    try:
        with Vpc(plan) as vpc, pytest.raises(AlreadyExists, match=name):
            vpc.ensure()
        with Netlink() as host:
            uplink.release(host, plan.cluster)
            assert link.find_link(host, name) is not None
    finally:
        world.run("ip", "link", "delete", name)
        take_down(plan, 0)


def test_a_node_whose_link_was_down_has_its_way_back(vpc: Vpc, plan: VpcPlan) -> None:
    one = world.node_of(plan, 1)
    with namespace.entered(plan.node_path(one.name)), Netlink() as inside:
        inside.send(link.change("eth0", up=False))
        vpc.restore_way_out(one)
        assert not link.get_link(inside, "eth0").up, "somebody means it"
        inside.send(link.change("eth0", up=True))
        assert not _ways_out(inside)
        vpc.restore_way_out(one)
        assert _ways_out(inside) == {"0.0.0.0/0", f"{plan.subnet(one.subnet).gateway}/32"}


def test_a_route_that_went_without_its_link_stays_away(vpc: Vpc, plan: VpcPlan) -> None:
    one = world.node_of(plan, 1)
    with namespace.entered(plan.node_path(one.name)), Netlink() as inside:
        (default,) = [found for found in route.list_routes(inside) if found.destination == "0.0.0.0/0"]
        inside.send(route.removal(default))
        vpc.restore_way_out(one)
        vpc.restore_way_out(one)
        assert "0.0.0.0/0" not in _ways_out(inside), "somebody means it"
        inside.send(link.change("eth0", up=False), link.change("eth0", up=True))
        vpc.restore_way_out(one)
        assert "0.0.0.0/0" in _ways_out(inside)


def _ways_out(inside: Netlink) -> set[str]:
    """Where the routes lead that are the VPC's own."""
    return {found.destination for found in route.list_routes(inside) if found.protocol == route.PROTOCOL}
