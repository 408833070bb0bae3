"""Which pods have to go for a more important one, and from where."""

from __future__ import annotations

from typing import Any

from controlplane.api.types import Object
from controlplane.scheduler.decision import decide, explain
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.plugins import default_plugins
from controlplane.scheduler.pod_info import PodInfo
from controlplane.scheduler.preemption import Outcome, preempt
from tests.unit.scheduler.cluster import no_claims, node, pod

FILTERS, SCORES = default_plugins(lambda name: {}, no_claims())


def asking(name: str, cpu: str = "1", *, priority: int = 0, start: str = "", **more: Any) -> PodInfo:
    one = pod(name, requests={"cpu": cpu}, priority=priority, **more)
    if start:
        one.pod["status"] = {"startTime": f"2026-01-01T00:00:{start}Z"}
    return one


def holding(name: str, *pods: PodInfo, cpu: str = "2", **more: Any) -> NodeInfo:
    made = node(name, cpu=cpu, **more)
    for one in pods:
        made.add(one)
    return made


def outcome(one: PodInfo, *nodes: NodeInfo, budgets: list[Object] | None = None, nominated: str = "") -> Outcome:
    decision = decide(one, nodes, FILTERS, SCORES)
    assert decision.node is None
    return preempt(one, decision, nodes, FILTERS, budgets=budgets or [], nominated=nominated)


def victims(result: Outcome) -> list[str]:
    assert result.candidate is not None, result.message
    return [victim.name for victim in result.candidate.victims]


def budget(app: str, allowed: int, namespace: str = "default") -> Object:
    return {
        "metadata": {"name": app, "namespace": namespace},
        "spec": {"selector": {"matchLabels": {"app": app}}},
        "status": {"disruptionsAllowed": allowed},
    }


def test_only_as_many_go_as_have_to_and_the_least_important_first() -> None:
    full = holding("a", asking("low", priority=1), asking("mid", priority=5))
    assert victims(outcome(asking("urgent", priority=10), full)) == ["low"]
    assert victims(outcome(asking("large", "2", priority=10), full)) == ["mid", "low"]
    assert set(full.pods) == {one.uid for one in full.pods.values()}, "nothing was changed"
    assert len(full.pods) == 2


def test_of_pods_of_one_priority_the_youngest_goes() -> None:
    full = holding("a", asking("old", start="01"), asking("young", start="30"))
    assert victims(outcome(asking("urgent", priority=10), full)) == ["young"]


def test_a_node_is_chosen_by_what_it_loses() -> None:
    high = holding("high", asking("a", "2", priority=8))
    low = holding("low", asking("b", "2", priority=3))
    two = holding("two", asking("c", priority=3), asking("d", priority=3))
    urgent = asking("urgent", "2", priority=10)
    found = outcome(urgent, high, two, low).candidate
    assert found is not None
    assert found.node == "low"
    older = holding("older", asking("e", "2", priority=3, start="01"))
    younger = holding("younger", asking("f", "2", priority=3, start="30"))
    found = outcome(urgent, older, younger).candidate
    assert found is not None
    assert found.node == "younger"


def test_disruption_budgets_are_kept_where_that_is_possible() -> None:
    guarded = asking("guarded", priority=1, labels={"app": "db"})
    free = asking("free", priority=5, labels={"app": "web"})
    full = holding("a", guarded, free)
    assert victims(outcome(asking("urgent", priority=10), full)) == ["guarded"]
    assert victims(outcome(asking("urgent", priority=10), full, budgets=[budget("db", 0)])) == ["free"]
    other = holding("b", asking("x", "2", priority=9, labels={"app": "web"}))
    only = holding("c", asking("y", "2", priority=1, labels={"app": "db"}))
    found = outcome(asking("urgent", "2", priority=10), only, other, budgets=[budget("db", 0)]).candidate
    assert found is not None
    assert (found.node, found.violations) == ("b", 0)
    found = outcome(asking("urgent", "2", priority=10), only, budgets=[budget("db", 0)]).candidate
    assert found is not None
    assert (found.node, found.violations) == ("c", 1)
    assert victims(outcome(asking("urgent", priority=10), full, budgets=[budget("db", 0, "other")])) == ["guarded"]


def test_ports_and_anti_affinity_can_be_preempted_too() -> None:
    holder = pod("holder", host_port=80)
    assert victims(outcome(pod("urgent", host_port=80, priority=1), holding("a", holder))) == ["holder"]
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}
    alone = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    db = pod("db", labels={"app": "db"})
    assert victims(outcome(pod("urgent", affinity=alone, priority=1), holding("a", db))) == ["db"]


def test_why_nobody_goes() -> None:
    full = holding("a", asking("low"), cpu="1")
    for one, said in [
        (asking("same"), "0/1 nodes are available: 1 No preemption victims found for incoming pod."),
        (asking("polite", priority=9, preemptionPolicy="Never"), "not eligible due to preemptionPolicy=Never."),
        (asking("huge", "64"), "0/1 nodes are available: 1 Preemption is not helpful for scheduling."),
    ]:
        result = outcome(one, full)
        assert (result.candidate, result.message) == (None, said)
    mixed = [holding("a", asking("low", priority=1), asking("high", priority=99)), node("b", cpu="1")]
    result = outcome(asking("both", "2", priority=10), *mixed)
    assert result.message == (
        "0/2 nodes are available: 1 Insufficient cpu, 1 Preemption is not helpful for scheduling."
    )
    assert explain(decide(full.pods.popitem()[1], [], FILTERS, SCORES)) == "no nodes available to schedule pods"


def test_a_preemption_that_is_under_way_is_waited_for() -> None:
    going = asking("going", priority=1)
    going.pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    full = holding("a", going, cpu="1")
    result = outcome(asking("urgent", priority=10), full, nominated="a")
    assert result.waiting
    assert result.message == "not eligible due to a terminating pod on the nominated node."
    assert not outcome(asking("urgent", priority=10), full).waiting


def test_a_promised_node_is_kept_free_for_whom_it_was_promised() -> None:
    nominations, empty = Nominations(), node("a", cpu="1")
    urgent, plain, more = asking("urgent", priority=10), asking("plain"), asking("more", priority=20)
    nominations.set(urgent, "a")
    for one, fits in ((plain, False), (more, True), (urgent, True)):
        decision = decide(one, [empty], FILTERS, SCORES, promised=nominations.against(one))
        assert (decision.node is not None) == fits, one.name
    assert nominations.lower("a", 20) == [urgent]
    nominations.remove(urgent.uid)
    assert decide(plain, [empty], FILTERS, SCORES, promised=nominations.against(plain)).node is empty


def test_a_pod_takes_the_node_that_it_was_promised() -> None:
    nodes = [node(name) for name in "abcdef"]
    for _ in range(5):
        assert decide(asking("x"), nodes, FILTERS, SCORES, preferred="e").node is nodes[4]
    assert decide(asking("x"), nodes, FILTERS, SCORES, preferred="gone").node in nodes
