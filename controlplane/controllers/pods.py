"""Questions about one pod that the workload and endpoint controllers share."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from controlplane.api.types import Object
from controlplane.controllers.meta import annotation, created_at, is_deleting, parse_time

DELETION_COST = "controller.kubernetes.io/pod-deletion-cost"
_PHASE_ORDER = {"Pending": 0, "Unknown": 1, "Running": 2}


def phase(pod: Object) -> str:
    status = pod.get("status")
    return status.get("phase", "Pending") if status else "Pending"


def is_terminal(pod: Object) -> bool:
    """Whether no container of the pod will run again."""
    return phase(pod) in ("Succeeded", "Failed")


def is_active(pod: Object) -> bool:
    """Whether the pod counts as a replica: not finished and not on its way out."""
    return not is_deleting(pod) and not is_terminal(pod)


def condition(obj: Object, type_: str) -> dict[str, Any] | None:
    for entry in (obj.get("status") or {}).get("conditions") or ():
        if entry["type"] == type_:
            found: dict[str, Any] = entry
            return found
    return None


def is_ready(pod: Object) -> bool:
    ready = condition(pod, "Ready")
    return ready is not None and ready["status"] == "True"


def available_in(pod: Object, min_ready_seconds: int, now: float) -> float | None:
    """0 for an available pod, else the seconds until it will be; None while it is not ready."""
    ready = condition(pod, "Ready")
    if ready is None or ready["status"] != "True":
        return None
    if min_ready_seconds == 0:
        return 0.0
    since = ready.get("lastTransitionTime")
    if not since:
        return None
    return max(0.0, parse_time(since) + min_ready_seconds - now)


def deletion_order(pods: Iterable[Object], related: Iterable[Object], now: float) -> list[Object]:
    """`pods` with those to delete first in front (upstream's ActivePodsWithRanks).

    `related` are the active pods of the same owner, by which a pod on a crowded node goes first.
    """
    crowd: dict[str, int] = {}
    for pod in related:
        node = pod["spec"].get("nodeName", "")
        crowd[node] = crowd.get(node, 0) + 1

    def rank(pod: Object) -> tuple[Any, ...]:
        node = pod["spec"].get("nodeName", "")
        ready = condition(pod, "Ready")
        is_up = ready is not None and ready["status"] == "True"
        since = parse_time(ready["lastTransitionTime"]) if ready and is_up and ready.get("lastTransitionTime") else now
        return (
            bool(node),
            _PHASE_ORDER.get(phase(pod), 0),
            is_up,
            _deletion_cost(pod),
            -crowd.get(node, 0),
            _age_bucket(now - since),
            -_restarts(pod),
            _age_bucket(now - created_at(pod)),
            pod["metadata"]["uid"],
        )

    return sorted(pods, key=rank)


def _deletion_cost(pod: Object) -> int:
    text = annotation(pod, DELETION_COST)
    try:
        return int(text) if text else 0
    except ValueError:
        return 0


def _restarts(pod: Object) -> int:
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    return max((status.get("restartCount", 0) for status in statuses), default=0)


def _age_bucket(seconds: float) -> int:
    """Ages compare on a logarithmic scale, so that the victim is not simply the newest."""
    return -1 if seconds <= 0 else int(math.log2(seconds * 1e9))
