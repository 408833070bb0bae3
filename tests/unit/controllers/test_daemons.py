"""DaemonSets: where their pods belong, and the next step of a rollout; pure."""

from __future__ import annotations

from typing import Any

from controlplane.api.types import Object
from controlplane.controllers.daemon_pods import Fit, by_node, daemon_pod, daemon_tolerations, fit, node_of, tied_to
from controlplane.controllers.daemon_rollout import View, limits, manage, roll
from controlplane.controllers.revisions import HASH_LABEL

NOW = 1767225600.0
CREATED = "2026-01-01T00:00:00Z"
HERE = Fit(should_run=True, may_stay=True)


def daemon_set(strategy: dict[str, Any] | None = None, **pod: Any) -> Object:
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default", "uid": "d"},
        "spec": {
            "template": {"metadata": {"labels": {"app": "agent"}}, "spec": pod},
            "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": strategy or {"maxUnavailable": 1}},
        },
    }


def node(name: str = "n1", *taints: str, **labels: str) -> Object:
    found = [{"key": "k", "effect": effect} for effect in taints]
    return {"metadata": {"name": name, "labels": labels}, "spec": {"taints": found}}


def pod(name: str, revision: str = "new", *, ready: bool = True, phase: str = "Running") -> Object:
    status = "True" if ready else "False"
    ready_since = {"type": "Ready", "status": status, "lastTransitionTime": CREATED}
    metadata = {"name": name, "uid": name, "labels": {HASH_LABEL: revision}, "creationTimestamp": CREATED}
    return {"metadata": metadata, "spec": {"nodeName": name}, "status": {"phase": phase, "conditions": [ready_since]}}


def view(ds: Object, *pods: Object, nodes: int = 3) -> View:
    return View(ds, by_node(pods), {f"n{number}": HERE for number in range(1, nodes + 1)}, "new", NOW)


def names(pods: list[Object]) -> list[str]:
    return [one["metadata"]["name"] for one in pods]


def test_selectors_affinity_and_taints_decide_where() -> None:
    assert fit(daemon_set(), node()) == HERE
    assert fit(daemon_set(nodeSelector={"disk": "ssd"}), node()) == Fit(should_run=False, may_stay=False)
    assert fit(daemon_set(nodeSelector={"disk": "ssd"}), node(disk="ssd")) == HERE
    assert fit(daemon_set(nodeName="n2"), node()) == Fit(should_run=False, may_stay=False)
    assert fit(daemon_set(), node("n1", "NoSchedule")) == Fit(should_run=False, may_stay=True)
    assert fit(daemon_set(), node("n1", "NoExecute")) == Fit(should_run=False, may_stay=False)
    assert fit(daemon_set(), node("n1", "PreferNoSchedule")) == HERE
    assert fit(daemon_set(tolerations=[{"operator": "Exists"}]), node("n1", "NoExecute")) == HERE
    term = {"matchExpressions": [{"key": "disk", "operator": "In", "values": ["ssd"]}]}
    required = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}
    assert not fit(daemon_set(affinity={"nodeAffinity": required}), node()).should_run


def test_a_pod_is_tied_to_its_node_and_keeps_the_rest() -> None:
    ds = daemon_set(affinity={"podAntiAffinity": {"a": 1}})
    made = tied_to(daemon_pod(ds, "abc"), "n7")
    assert node_of(made) == "n7"
    assert made["spec"]["affinity"]["podAntiAffinity"] == {"a": 1}
    assert made["metadata"]["labels"] == {"app": "agent", HASH_LABEL: "abc"}
    assert len(daemon_tolerations({"hostNetwork": True})) == len(daemon_tolerations({})) + 1 == 7


def test_limits() -> None:
    assert limits(daemon_set({"maxUnavailable": "30%", "maxSurge": 0}), 10) == (0, 3)
    assert limits(daemon_set({"maxUnavailable": 0, "maxSurge": "1%"}), 10) == (1, 0)
    assert limits(daemon_set({"maxUnavailable": 0, "maxSurge": 0}), 10) == (0, 1)


def test_each_node_is_brought_to_one_pod() -> None:
    step = manage(view(daemon_set(), pod("n1"), pod("n2", phase="Failed"), pod("gone")))
    assert (step.create, names(step.delete), names(step.finished)) == (["n3"], [], ["n2"])


def test_without_surge_as_many_are_deleted_as_may_be_missing() -> None:
    olds = [pod(f"n{number}", "old") for number in (1, 2, 3)]
    assert names(roll(view(daemon_set(), *olds)).delete) == ["n1"]
    assert names(roll(view(daemon_set({"maxUnavailable": 2}), *olds)).delete) == ["n1", "n2"]
    assert names(roll(view(daemon_set(), pod("n1", ready=False), *olds[1:])).delete) == []
    assert names(roll(view(daemon_set(), pod("n1"), *olds[1:])).delete) == ["n2"]
    assert names(roll(view(daemon_set(), pod("n1"), pod("n2", "old", ready=False), olds[2])).delete) == ["n2"]


def test_with_surge_the_old_pod_goes_when_the_new_one_is_available() -> None:
    surge = daemon_set({"maxSurge": 1, "maxUnavailable": 0})
    olds = [pod(f"n{number}", "old") for number in (1, 2, 3)]
    assert roll(view(surge, *olds)).create == ["n1"]
    beside = pod("n1", ready=False)
    step = roll(view(surge, beside, *olds))
    assert (step.create, step.delete) == ([], [])
    step = roll(view(surge, pod("n1"), *olds))
    assert (step.create, step.delete) == (["n2"], [olds[0]])
