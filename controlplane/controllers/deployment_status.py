"""The status of a Deployment: counts and the conditions Available, Progressing, ReplicaFailure.

Pure functions; `now` is given. Reasons and messages are upstream's, because people and
`kubectl rollout status` read them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.controllers.meta import parse_time
from controlplane.controllers.pods import condition
from controlplane.controllers.rollout import NO_DEADLINE, max_unavailable, replicas, status_count

Condition = dict[str, Any]
Status = dict[str, Any]

TIMED_OUT = "ProgressDeadlineExceeded"
NEW_AVAILABLE = "NewReplicaSetAvailable"


def new_condition(type_: str, status: str, reason: str, message: str, now: float) -> Condition:
    stamp = timestamp(now)
    return {
        "type": type_,
        "status": status,
        "lastUpdateTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }


def set_condition(conditions: Sequence[Condition], new: Condition) -> list[Condition]:
    """`conditions` with `new` in them; one of equal status and reason is left as it is."""
    current = next((entry for entry in conditions if entry["type"] == new["type"]), None)
    if current is not None and current["status"] == new["status"]:
        if current.get("reason") == new["reason"]:
            return list(conditions)
        new = {**new, "lastTransitionTime": current.get("lastTransitionTime", new["lastTransitionTime"])}
    return [*without(conditions, new["type"]), new]


def without(conditions: Sequence[Condition], type_: str) -> list[Condition]:
    return [entry for entry in conditions if entry["type"] != type_]


def has_deadline(deployment: Object) -> bool:
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    return deadline is not None and deadline != NO_DEADLINE


def basic_status(
    deployment: Object, sets: Sequence[Object], new: Object | None, conditions: Sequence[Condition], now: float
) -> Status:
    """Counts and the Available condition, from the ReplicaSets' own statuses."""
    total = sum(status_count(rs, "replicas") for rs in sets)
    available = sum(status_count(rs, "availableReplicas") for rs in sets)
    status: Status = {"observedGeneration": deployment["metadata"].get("generation", 0)}
    counts = {
        "replicas": total,
        "updatedReplicas": status_count(new, "replicas") if new is not None else 0,
        "readyReplicas": sum(status_count(rs, "readyReplicas") for rs in sets),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum(replicas(rs) for rs in sets) - available),
    }
    status.update((name, count) for name, count in counts.items() if count)
    status["terminatingReplicas"] = sum(status_count(rs, "terminatingReplicas") for rs in sets)
    collisions = (deployment.get("status") or {}).get("collisionCount")
    if collisions is not None:
        status["collisionCount"] = collisions
    status["conditions"] = set_condition(conditions, _available(deployment, available, now))
    return status


def _available(deployment: Object, available: int, now: float) -> Condition:
    if available >= replicas(deployment) - max_unavailable(deployment):
        return new_condition(
            "Available", "True", "MinimumReplicasAvailable", "Deployment has minimum availability.", now
        )
    message = "Deployment does not have minimum availability."
    return new_condition("Available", "False", "MinimumReplicasUnavailable", message, now)


def rollout_status(
    deployment: Object, sets: Sequence[Object], new: Object | None, conditions: Sequence[Condition], now: float
) -> Status:
    """`basic_status` and what can be said of the rollout's progress."""
    status = basic_status(deployment, sets, new, conditions, now)
    current = next((entry for entry in conditions if entry["type"] == "Progressing"), None)
    if not has_deadline(deployment):
        status["conditions"] = without(status["conditions"], "Progressing")
    elif not _is_finished(status, current):
        status["conditions"] = _progress(deployment, new, status, current, now)
    status["conditions"] = _with_failures(status["conditions"], sets, new)
    return status


def is_complete(deployment: Object, status: Status) -> bool:
    """Whether all replicas are of the new template, available, and none of the old remain."""
    desired = replicas(deployment)
    counts = [status.get(name, 0) for name in ("updatedReplicas", "replicas", "availableReplicas")]
    observed = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return observed and counts == [desired] * 3


def is_timed_out(deployment: Object, current: Condition | None, now: float) -> bool:
    """Whether the Progressing condition has not moved for progressDeadlineSeconds."""
    if not has_deadline(deployment) or current is None or current.get("reason") == NEW_AVAILABLE:
        return False
    if current.get("reason") == TIMED_OUT:
        return True
    return parse_time(current["lastUpdateTime"]) + float(deployment["spec"]["progressDeadlineSeconds"]) < now


def deadline_in(deployment: Object, status: Status, now: float) -> float | None:
    """Seconds until a rollout that stands still has to be judged again."""
    current = next((entry for entry in status["conditions"] if entry["type"] == "Progressing"), None)
    if not has_deadline(deployment) or current is None or current.get("reason") in (TIMED_OUT, NEW_AVAILABLE):
        return None
    if is_complete(deployment, status):
        return None
    due = parse_time(current["lastUpdateTime"]) + float(deployment["spec"]["progressDeadlineSeconds"])
    return max(0.0, due - now) + 1.0


def _is_finished(status: Status, current: Condition | None) -> bool:
    is_done = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    return is_done and current is not None and current.get("reason") == NEW_AVAILABLE


def _progress(
    deployment: Object, new: Object | None, status: Status, current: Condition | None, now: float
) -> list[Condition]:
    name = deployment["metadata"]["name"] if new is None else new["metadata"]["name"]
    subject = f'{"Deployment" if new is None else "ReplicaSet"} "{name}"'
    conditions: list[Condition] = status["conditions"]
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        return set_condition(conditions, new_condition("Progressing", "True", NEW_AVAILABLE, message, now))
    if _has_progressed(deployment.get("status") or {}, status):
        moved = new_condition("Progressing", "True", "ReplicaSetUpdated", f"{subject} is progressing.", now)
        if current is not None and current["status"] == "True":
            moved["lastTransitionTime"] = current["lastTransitionTime"]
        return [*without(conditions, "Progressing"), moved]
    if is_timed_out(deployment, current, now):
        message = f"{subject} has timed out progressing."
        return set_condition(conditions, new_condition("Progressing", "False", TIMED_OUT, message, now))
    return conditions


def _has_progressed(old: Status, new: Status) -> bool:
    def outdated(status: Status) -> int:
        return int(status.get("replicas", 0)) - int(status.get("updatedReplicas", 0))

    return (
        new.get("updatedReplicas", 0) > old.get("updatedReplicas", 0)
        or outdated(new) < outdated(old)
        or new.get("readyReplicas", 0) > old.get("readyReplicas", 0)
        or new.get("availableReplicas", 0) > old.get("availableReplicas", 0)
    )


def _with_failures(conditions: list[Condition], sets: Sequence[Object], new: Object | None) -> list[Condition]:
    """Lifts the first ReplicaFailure of the ReplicaSets, the new one's before others'."""
    for rs in [*([new] if new is not None else []), *sets]:
        failure = condition(rs, "ReplicaFailure")
        if failure is not None:
            lifted = {**failure, "lastUpdateTime": failure["lastTransitionTime"]}
            return set_condition(conditions, lifted)
    return without(conditions, "ReplicaFailure")
