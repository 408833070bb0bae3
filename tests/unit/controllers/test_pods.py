"""Which pod goes first, and since when one is available."""

from __future__ import annotations

from typing import Any

from controlplane.api.types import Object
from controlplane.controllers.pods import available_in, deletion_order
from controlplane.controllers.replicaset import replicaset_status

NOW = 1_800_000_000.0
CREATED = "2027-01-15T07:00:00Z"


def pod(
    name: str,
    node: str = "node-1",
    *,
    phase: str = "Running",
    ready: str | None = "2027-01-15T07:00:00Z",
    restarts: int = 0,
    created: str = CREATED,
    cost: str | None = None,
) -> Object:
    metadata: dict[str, Any] = {"name": name, "uid": name, "creationTimestamp": created, "labels": {"app": "web"}}
    if cost is not None:
        metadata["annotations"] = {"controller.kubernetes.io/pod-deletion-cost": cost}
    conditions = [{"type": "Ready", "status": "True", "lastTransitionTime": ready}] if ready else []
    return {
        "metadata": metadata,
        "spec": {"nodeName": node} if node else {},
        "status": {"phase": phase, "conditions": conditions, "containerStatuses": [{"restartCount": restarts}]},
    }


def order(*pods: Object) -> list[str]:
    return [one["metadata"]["name"] for one in deletion_order(pods, pods, NOW)]


def test_unassigned_pending_and_unready_go_first() -> None:
    ready = pod("ready")
    unready = pod("unready", ready=None)
    pending = pod("pending", phase="Pending", ready=None)
    unassigned = pod("unassigned", node="", phase="Pending", ready=None)
    assert order(ready, unready, pending, unassigned) == ["unassigned", "pending", "unready", "ready"]


def test_a_lower_cost_goes_before_a_crowded_node() -> None:
    crowded = [pod("a", "node-1"), pod("b", "node-1")]
    cheap = pod("cheap", "node-2", cost="-1")
    alone = pod("alone", "node-3")
    assert order(alone, *crowded, cheap) == ["cheap", "a", "b", "alone"]


def test_restarts_then_youth_decide_between_equals() -> None:
    assert order(pod("calm"), pod("nervous", restarts=3)) == ["nervous", "calm"]
    young = pod("young", created="2027-01-15T07:59:00Z")
    assert order(pod("old"), young) == ["young", "old"]


def test_a_pod_is_available_after_min_ready_seconds() -> None:
    one = pod("a", ready="2027-01-15T08:00:00Z")
    assert available_in(one, 0, NOW) == 0
    assert available_in(one, 30, NOW) == 30
    assert available_in(one, 30, NOW + 31) == 0
    assert available_in(pod("b", ready=None), 0, NOW) is None


def test_replicaset_status_counts_and_asks_to_be_called_when_it_will_change() -> None:
    rs: Object = {
        "metadata": {"name": "web", "generation": 3},
        "spec": {
            "replicas": 2,
            "minReadySeconds": 10,
            "template": {"metadata": {"labels": {"app": "web"}}},
        },
    }
    pods = [pod("a", ready="2027-01-15T08:00:00Z"), pod("b", ready=None)]
    status, again = replicaset_status(rs, pods, 1, None, NOW + 4)
    assert again == 6
    assert status == {
        "replicas": 2,
        "fullyLabeledReplicas": 2,
        "readyReplicas": 1,
        "terminatingReplicas": 1,
        "observedGeneration": 3,
    }
