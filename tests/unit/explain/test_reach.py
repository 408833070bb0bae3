"""Who is asked by `netsim reach`, and what reason each failure gets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from controlplane.api.kinds import POD, SERVICE
from controlplane.config import ClusterConfig, ResolvedCluster
from controlplane.config.resolve import resolve
from controlplane.explain.reach import Firewall, Reached, Reasons, Source, Target, counters
from controlplane.faults.definition import FAULT
from netsim.reach import Attempt, Outcome, Protocol, Result
from tests.unit.explain.conftest import FakeWorld, make_pod, make_service
from workbench.places import NoSuchPlace, select
from workbench.places.ends import sources, targets

CLUSTER = resolve(ClusterConfig(), taken=[], port_owner=lambda _address, _port: None)
STRANGER = Source("pod/stranger", "node-2", "10.44.2.9", "uid-stranger")
CLIENT = Source("pod/client", "node-2", "10.44.2.2", "uid-client")
WEB = Target("pod/web-0", "10.44.1.2", 8080, (("10.44.1.2", 8080),))


def reached(
    world: FakeWorld,
    source: Source,
    target: Target,
    result: Result,
    *,
    protocol: Protocol = "tcp",
    counted: bool = True,
    firewall: Firewall | None = None,
) -> Reached:
    before = {key: packets - counted for key, packets in counters(world).items()}
    reasons = Reasons(world, before, counters(world), firewall=firewall)
    return reasons.of(source, target, Attempt(target.address, target.port, protocol), Outcome(result, 0.5))


def test_a_denial_names_its_policies_when_the_counter_rose(world: FakeWorld) -> None:
    found = reached(world, STRANGER, WEB, "timed out")
    assert (found.result, found.reason) == ("denied", "denied by default/web (ingress)")
    found = reached(world, STRANGER, WEB, "timed out", counted=False)
    assert (found.result, found.explained) == ("timed out", False)


def test_what_the_vpc_denies_no_policy_was_asked_about(world: FakeWorld) -> None:
    found = reached(world, STRANGER, WEB, "timed out", firewall=lambda *_: "no-web")
    assert (found.result, found.explained) == ("denied", True)
    assert "VPC firewall rule no-web" in found.reason


def test_while_something_is_broken_only_what_was_counted_is_a_reason(world: FakeWorld) -> None:
    world.add(FAULT, {"metadata": {"name": "cut"}, "spec": {"type": "partition"}, "status": {"phase": "Active"}})
    assert not reached(world, CLIENT, WEB, "refused").explained
    assert not reached(world, CLIENT, WEB, "timed out", firewall=lambda *_: "no-web").explained
    assert reached(world, STRANGER, WEB, "timed out").explained


def test_what_is_allowed_and_lost_is_no_policys_doing(world: FakeWorld) -> None:
    found = reached(world, CLIENT, WEB, "timed out")
    assert (found.result, found.explained) == ("timed out", False)
    assert reached(world, CLIENT, WEB, "timed out", protocol="udp").result == "denied"
    other = Target("pod/client", "10.44.2.2", 53, (("10.44.2.2", 53),))
    assert reached(world, STRANGER, other, "timed out", protocol="udp").result == "no answer"


def test_a_node_reaches_its_own_pods_and_others_do_not(world: FakeWorld) -> None:
    near, far = Source("node/node-1", "node-1", "10.128.0.11"), Source("node/node-2", "node-2", "10.128.0.12")
    assert reached(world, near, WEB, "timed out").result == "timed out"
    assert reached(world, far, WEB, "timed out").result == "denied"


@pytest.mark.parametrize(("address", "port"), [("203.0.113.7", 0), ("10.128.0.11", 30080), ("198.51.100.1", 80)])
def test_an_address_of_a_service_leads_to_its_pods(world: FakeWorld, address: str, port: int) -> None:
    (target,) = targets(world, CLUSTER, [address], "default", port=port, protocol="tcp")
    assert (target.port, len(target.ends)) == (port or 80, 3)
    assert reached(world, STRANGER, target, "timed out").result == "denied"


def test_the_host_is_a_stranger(world: FakeWorld) -> None:
    (host,) = sources(world, CLUSTER, ["outside"], "default")
    assert host.address == "169.254.64.1"
    assert reached(world, host, WEB, "timed out").result == "denied"


def test_the_host_knows_a_service_by_its_load_balancer_address_only(world: FakeWorld) -> None:
    (host,) = sources(world, CLUSTER, ["outside"], "default")
    balanced, plain = targets(world, CLUSTER, ["service/web", "service/balanced"], "default", port=0, protocol="tcp")
    assert (balanced.name, balanced.seen_from(CLIENT).address) == ("service/balanced", "10.48.0.52")
    assert balanced.seen_from(host).address == "203.0.113.7"
    nowhere = plain.seen_from(host)
    assert (nowhere.name, nowhere.address) == ("service/web", "")
    assert "node port" in reached(world, host, nowhere, "no route").reason


def test_through_a_service_the_pod_behind_it_is_named(world: FakeWorld) -> None:
    (service,) = targets(world, CLUSTER, ["service/web"], "default", port=0, protocol="tcp")
    assert (service.address, service.port, len(service.ends)) == ("10.48.0.50", 80, 3)
    assert reached(world, STRANGER, service, "timed out").reason == "denied by default/web (ingress of default/web-0)"
    (empty,) = targets(world, CLUSTER, ["service/empty"], "default", port=0, protocol="tcp")
    assert reached(world, CLIENT, empty, "refused").reason == "the Service has no endpoints"


def test_other_failures(world: FakeWorld) -> None:
    assert reached(world, CLIENT, WEB, "ok").reason == ""
    assert reached(world, CLIENT, WEB, "refused").reason == "nothing listens on tcp port 8080"
    assert reached(world, CLIENT, WEB, "no route").reason == "no route to 10.44.1.2"
    world.running = ["node-2"]
    assert reached(world, CLIENT, WEB, "no route").reason == "no route to 10.44.1.2: node-1 does not run"
    lost = reached(world, CLIENT, WEB, "timed out")
    assert (lost.result, lost.reason, lost.explained) == ("timed out", "node-1 does not run", True)
    there = Source("pod/web-0", "node-1", "10.44.1.2", "uid-web-0")
    assert reached(world, there, WEB, "failed").reason == "node-1 does not run"


def test_selections(world: FakeWorld) -> None:
    pods = ["pod/client", "pod/web-0", "pod/web-1", "pod/web-2"]
    assert [each.name for each in sources(world, CLUSTER, [], "default")] == pods
    assert [each.name for each in sources(world, CLUSTER, ["role=client", "node/node-1"], "default")] == [
        "node/node-1",
        "pod/client",
    ]
    assert [each.name for each in sources(world, CLUSTER, ["app=web"], "")] == pods[1:]
    (pod,) = targets(world, CLUSTER, ["default/pod/web-1"], "other", port=0, protocol="tcp")
    assert (pod.name, pod.port) == ("pod/web-1", 8080)
    (address,) = targets(world, CLUSTER, ["192.0.2.1"], "default", port=0, protocol="tcp")
    assert (address.address, address.port) == ("192.0.2.1", 80)
    (node,) = targets(world, CLUSTER, ["node/node-1"], "default", port=30080, protocol="tcp")
    assert (node.name, node.address, len(node.ends)) == ("node/node-1", "10.128.0.11", 3)
    for selection, words in {
        "app=nothing": "no pod with an address",
        "pod/none": "there is no pod none in namespace default; there is: client, web-0",
        "node/none": "there is no node none; there is: node-1, node-2",
    }.items():
        with pytest.raises(NoSuchPlace, match=words):
            sources(world, CLUSTER, [selection], "default")
    with pytest.raises(NoSuchPlace, match="has no udp port"):
        targets(world, CLUSTER, ["service/web"], "default", port=0, protocol="udp")


def test_the_pod_that_is_ready_comes_first_and_that_of_a_node_which_is_off_last(world: FakeWorld) -> None:
    far = make_pod("web-3", "10.44.2.3", "node-2", app="web")
    far["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    world.add(POD, far)
    nodes = tuple(replace(node, state="crashed") if node.name == "node-1" else node for node in CLUSTER.nodes)

    def names(cluster: ResolvedCluster) -> list[str]:
        return [pod["metadata"]["name"] for pod in select(world, cluster, "app=web", "default").pods]

    assert names(CLUSTER)[0] == "web-3"
    world.objects(POD)[0]["status"]["conditions"] = far["status"]["conditions"]
    assert names(CLUSTER)[0] == "web-0"
    assert names(replace(CLUSTER, nodes=nodes)) == ["web-3", "web-0", "web-1", "web-2"]


def test_a_headless_service_is_its_pods_and_an_alias_is_nobody(world: FakeWorld) -> None:
    world.add(SERVICE, make_service("direct", "None", selector={"app": "web"}))
    world.add(SERVICE, make_service("alias", "", type="ExternalName", externalName="web.example"))
    found = targets(world, CLUSTER, ["service/direct"], "default", port=0, protocol="tcp")
    assert [(each.name, each.port) for each in found] == [(f"pod/web-{number}", 8080) for number in range(3)]
    with pytest.raises(NoSuchPlace, match="it has no address, DNS answers with web"):
        targets(world, CLUSTER, ["service/alias"], "default", port=0, protocol="tcp")
