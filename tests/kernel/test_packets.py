"""Packets through everything at once: two nodes in a VPC, pods attached by CNI, one address balanced by the router."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cni.runtime import Attachment, Runtime
from netsim import firewall, inventory, namespace
from netsim.mark import Mark
from netsim.namespace import NamespaceExecutor, namespace_path
from netsim.vpc import Vpc, VpcPlan
from tests.kernel import world
from tests.kernel.cni.test_attach import conflist

BALANCER = "100.53.0.1"


class Cluster:
    """Two nodes with a pod each."""

    def __init__(self, plan: VpcPlan, data: Path) -> None:
        self.plan = plan
        self.vpc = Vpc(plan)
        self.nodes = [world.node_of(plan, number) for number in (1, 2)]
        self.pods = [f"{plan.cluster}-pod-{number}" for number in (1, 2)]
        self.pod_addresses: list[str] = []
        self.executors: list[NamespaceExecutor] = []
        self._data = data

    def make(self) -> None:
        self.vpc.ensure()
        for node, pod in zip(self.nodes, self.pods, strict=True):
            self.vpc.ensure_node(node)
            namespace.create_namespace(pod, Mark(self.plan.cluster, "pod", pod))
            executor = NamespaceExecutor(self.plan.node_path(node.name), node.name)
            self.executors.append(executor)
            runtime = Runtime(conflist(self._data / node.name, node.pod_range), (), self._data / f"cache-{node.name}")
            result = executor.submit(runtime.add, Attachment(pod, str(namespace_path(pod)))).result(10)
            self.pod_addresses.append(result.ips[0].address.split("/")[0])
            executor.submit(runtime.close).result(10)

    def close(self) -> None:
        self.vpc.close()
        for executor in self.executors:
            executor.close()
        inventory.remove(self.plan.cluster)


@pytest.fixture
def made(host: None, cluster: str, tmp_path: Path) -> Iterator[Cluster]:
    built = Cluster(world.plan_of(cluster), tmp_path)
    try:
        built.make()
        yield built
    finally:
        built.close()


def test_pods_reach_each_other_across_nodes_unchanged(made: Cluster) -> None:
    one, two = made.pod_addresses
    assert world.ping(two, netns=made.pods[0])
    with world.answering(made.pods[1], two, 80, "hello"):
        assert world.ask(two, 80, netns=made.pods[0]) == f"hello {one}", "no address is translated on the way"


def test_the_host_reaches_pods_and_nodes_and_pods_reach_the_node_and_the_router(made: Cluster) -> None:
    for address in (*made.pod_addresses, *(node.address for node in made.nodes)):
        assert world.ping(address)
    for address in (made.nodes[0].address, made.nodes[1].address, made.plan.api_address):
        assert world.ping(address, netns=made.pods[0])


def test_the_way_of_a_packet_is_by_the_router(made: Cluster) -> None:
    hops = world.run("busybox", "traceroute", "-n", "-q", "1", "-w", "1", made.pod_addresses[1], netns=made.pods[0])
    found = [line.split()[1] for line in hops.splitlines()[-4:]]
    assert found == ["100.51.1.1", "100.50.0.1", made.nodes[1].address, made.pod_addresses[1]]


def test_a_balanced_address_reaches_a_pod_and_the_answer_comes_back(made: Cluster) -> None:
    rules = f"*nat\n-A PREROUTING -d {BALANCER}/32 -p tcp --dport 8080 -j DNAT --to-destination {{}}:80\nCOMMIT\n"
    for executor, pod in zip(made.executors, made.pod_addresses, strict=True):
        executor.submit(firewall.restore, rules.format(pod)).result(10)
    made.vpc.set_load_balancers({BALANCER: [node.address for node in made.nodes]})
    one, two = made.pods
    with (
        world.answering(one, made.pod_addresses[0], 80, "one"),
        world.answering(two, made.pod_addresses[1], 80, "two"),
    ):
        from_host = {world.ask(BALANCER, 8080).split()[0] for _ in range(30)}
    assert from_host == {"one", "two"}


def test_pods_go_out_by_the_host_under_its_address(made: Cluster) -> None:
    """The far end of the host's uplink stands for the rest of the world; it knows no route to pods."""
    name = f"{made.plan.cluster}-world"
    namespace.create_namespace(name, Mark(made.plan.cluster, "node", "world"))
    world.run("ip", "link", "set", "far", "netns", name)
    world.run("ip", "address", "add", "192.0.2.1/24", "dev", "far", netns=name)
    world.run("ip", "link", "set", "far", "up", netns=name)
    with world.answering(name, "192.0.2.1", 80, "world"):
        assert world.ask("192.0.2.1", 80, netns=made.pods[0]) == "world 192.0.2.2"
        assert world.ask("192.0.2.1", 80, netns=made.plan.node_namespace("node-2")) == "world 192.0.2.2"


def test_large_packets_pass_and_larger_ones_are_told_the_mtu(made: Cluster) -> None:
    target = made.pod_addresses[1]
    fits = ["busybox", "ping", "-c", "1", "-W", "1", "-s", str(1460 - 28), target]
    assert world.attempt(*fits, netns=made.pods[0]).returncode == 0
    assert "mtu 1460" in world.run("ip", "link", "show", "eth0", netns=made.pods[0])
