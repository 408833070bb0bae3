"""Conditions of a Deployment, over a time of the test's own."""

from __future__ import annotations

from typing import Any

from controlplane.api.types import Object
from controlplane.controllers import deployment_status as status_of

NOW = 1_800_000_000.0


def deployment(replicas: int = 2, deadline: int | None = 600, **status: Any) -> Object:
    spec = {"replicas": replicas, "strategy": {"type": "RollingUpdate"}, "progressDeadlineSeconds": deadline}
    return {"metadata": {"name": "web", "generation": 2}, "spec": spec, "status": status}


def replica_set(name: str = "web-1", replicas: int = 2, ready: int = 0, **more: Any) -> Object:
    status = {"replicas": replicas, "readyReplicas": ready, "availableReplicas": ready, **more}
    return {"metadata": {"name": name}, "spec": {"replicas": replicas}, "status": status}


def condition(status: dict[str, Any], type_: str) -> tuple[str, str, str] | None:
    found = [c for c in status["conditions"] if c["type"] == type_]
    return (found[0]["status"], found[0]["reason"], found[0]["message"]) if found else None


def test_progress_is_told_and_moves_the_update_time_but_not_the_transition_time() -> None:
    web = deployment(readyReplicas=0)
    began = status_of.new_condition("Progressing", "True", "NewReplicaSetCreated", "x", NOW - 100)
    rs = replica_set(ready=1)
    status = status_of.rollout_status(web, [rs], rs, [began], NOW)
    assert condition(status, "Progressing") == ("True", "ReplicaSetUpdated", 'ReplicaSet "web-1" is progressing.')
    moved = next(c for c in status["conditions"] if c["type"] == "Progressing")
    assert moved["lastTransitionTime"] == began["lastTransitionTime"]
    assert moved["lastUpdateTime"] > began["lastUpdateTime"]


def test_complete_when_all_are_updated_and_available() -> None:
    rs = replica_set(ready=2)
    status = status_of.rollout_status(deployment(), [rs], rs, [], NOW)
    assert condition(status, "Progressing") == (
        "True",
        "NewReplicaSetAvailable",
        'ReplicaSet "web-1" has successfully progressed.',
    )
    assert condition(status, "Available") == (
        "True",
        "MinimumReplicasAvailable",
        "Deployment has minimum availability.",
    )


def test_standing_still_beyond_the_deadline_is_a_failure_and_stays_one() -> None:
    rs = replica_set(ready=0)
    web = deployment(deadline=10, replicas=2, updatedReplicas=2)
    web["status"]["replicas"] = 2
    began = status_of.new_condition("Progressing", "True", "ReplicaSetUpdated", "x", NOW)
    early = status_of.rollout_status(web, [rs], rs, [began], NOW + 9)
    assert condition(early, "Progressing") == ("True", "ReplicaSetUpdated", "x")
    assert status_of.deadline_in(web, early, NOW + 9) == 2.0
    late = status_of.rollout_status(web, [rs], rs, early["conditions"], NOW + 11)
    assert condition(late, "Progressing") == (
        "False",
        "ProgressDeadlineExceeded",
        'ReplicaSet "web-1" has timed out progressing.',
    )
    assert status_of.deadline_in(web, late, NOW + 11) is None


def test_a_finished_rollout_that_loses_pods_does_not_progress_again() -> None:
    done = status_of.new_condition("Progressing", "True", "NewReplicaSetAvailable", "done", NOW)
    rs = replica_set(ready=1)
    status = status_of.rollout_status(deployment(readyReplicas=0), [rs], rs, [done], NOW + 5)
    assert condition(status, "Progressing") == ("True", "NewReplicaSetAvailable", "done")


def test_no_deadline_no_condition() -> None:
    rs = replica_set()
    for deadline in (None, 2**31 - 1):
        status = status_of.rollout_status(deployment(deadline=deadline), [rs], rs, [], NOW)
        assert condition(status, "Progressing") is None


def test_failures_of_the_new_replica_set_come_up() -> None:
    failed = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "forbidden",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    rs = replica_set(conditions=[failed])
    status = status_of.rollout_status(deployment(), [rs], rs, [], NOW)
    assert condition(status, "ReplicaFailure") == ("True", "FailedCreate", "forbidden")
    healed = replica_set()
    status = status_of.rollout_status(deployment(), [healed], healed, status["conditions"], NOW)
    assert condition(status, "ReplicaFailure") is None


def test_counts_of_nothing_are_left_out_as_on_the_wire() -> None:
    status = status_of.basic_status(deployment(replicas=0), [], None, [], NOW)
    assert set(status) == {"observedGeneration", "terminatingReplicas", "conditions"}


def test_unavailable_replicas_are_those_wanted_and_not_available() -> None:
    rs = replica_set(replicas=3, ready=1)
    assert status_of.basic_status(deployment(replicas=3), [rs], rs, [], NOW)["unavailableReplicas"] == 2
