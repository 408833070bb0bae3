"""`netsim explain pod` says of each node which filter refuses it, or what each score gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api.kinds import NAMESPACE, NODE, POD
from controlplane.api.types import Kind, Object
from controlplane.explain.scheduling import scheduling
from controlplane.explain.world import Section
from tests.unit.explain.conftest import FakeWorld


class World(FakeWorld):
    """One with nodes of the test's own."""

    nodes_there: tuple[Object, ...] = ()

    def objects(self, kind: Kind) -> Sequence[Object]:
        return self.nodes_there if kind is NODE else super().objects(kind)


def node(name: str, cpu: str = "2", **spec: Any) -> Object:
    amounts = {"cpu": cpu, "memory": "4Gi", "pods": "10"}
    metadata = {"name": name, "labels": {"kubernetes.io/hostname": name}}
    return {"metadata": metadata, "spec": spec, "status": {"allocatable": amounts}}


def pod(name: str, cpu: str = "1", **spec: Any) -> Object:
    container = {"name": "main", "image": "web", "resources": {"requests": {"cpu": cpu}}}
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}"}
    return {"metadata": metadata, "spec": {"containers": [container], **spec}, "status": {"phase": "Pending"}}


def world(*nodes: Object, pods: tuple[Object, ...] = ()) -> FakeWorld:
    made = World()
    made.nodes_there = nodes
    made.add(NAMESPACE, {"metadata": {"name": "default"}})
    made.add(POD, *pods)
    return made


def explained(made: FakeWorld, one: Object) -> Section:
    found = scheduling(made, one)
    assert found is not None
    return found


def test_the_best_node_comes_first_and_what_refuses_is_named() -> None:
    busy = pod("busy", nodeName="b")
    one = pod("one")
    section = explained(world(node("b"), node("a"), node("c", unschedulable=True), pods=(busy, one)), one)
    assert [entry["node"] for entry in section.data] == ["b", "a", "c"]
    assert [line.split()[0] for line in section.lines] == ["a", "b", "c"]
    assert section.data[2] == {
        "node": "c",
        "refusedBy": "NodeUnschedulable",
        "reasons": ["node(s) were unschedulable"],
    }
    scores = section.data[1]["scores"]
    assert section.data[1]["total"] == sum(scores.values())
    assert scores["NodeResourcesFit"] > section.data[0]["scores"]["NodeResourcesFit"]


def test_a_pod_does_not_stand_in_its_own_way() -> None:
    here = pod("here", cpu="2", nodeName="a")
    section = explained(world(node("a"), pods=(here,)), here)
    assert section.lines[0].startswith("a (it is here)  score ")


def test_of_a_pod_that_fits_nowhere_it_says_who_would_have_to_go() -> None:
    low, urgent = pod("low", cpu="2", nodeName="a"), pod("urgent", cpu="2", priority=10)
    section = explained(world(node("a"), pods=(low, urgent)), urgent)
    assert section.lines == [
        "a  refused by NodeResourcesFit: Insufficient cpu",
        "0/1 nodes are available: 1 Insufficient cpu.",
        "preemption would take it to a, and these away: default/low",
    ]
    plain = pod("plain", cpu="2")
    section = explained(world(node("a"), pods=(low, plain)), plain)
    assert section.lines[-1].endswith("1 No preemption victims found for incoming pod.")


def test_gates_and_other_schedulers_are_told() -> None:
    gated = pod("gated", schedulingGates=[{"name": "example.com/wait"}], schedulerName="mine")
    section = explained(world(node("a")), gated)
    assert section.lines[:2] == [
        "it is for the scheduler mine, not for this one",
        "it is not looked at before these gates are gone: example.com/wait",
    ]
    ended = pod("ended")
    ended["status"]["phase"] = "Succeeded"
    assert scheduling(world(node("a")), ended) is None
