"""What the scheduler writes into the status of a pod that has no node yet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controlplane.api.types import Object


def waiting_status(pod: Object, reason: str, message: str, now: float, *, nominated: str = "") -> dict[str, Any] | None:
    """The parts of the status to write: PodScheduled, and the node that was promised; None where nothing is new."""
    status = pod.get("status") or {}
    condition = _condition(pod, reason, message, now)
    promised = status.get("nominatedNodeName", "")
    if condition is None and promised == nominated:
        return None
    wanted: dict[str, Any] = {} if condition is None else {"conditions": [condition]}
    if promised != nominated:
        wanted["nominatedNodeName"] = nominated or None
    return wanted


def _condition(pod: Object, reason: str, message: str, now: float) -> dict[str, Any] | None:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    current = next((entry for entry in conditions if entry["type"] == "PodScheduled"), None)
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if current is not None and current["status"] == "False":
        if current.get("reason") == reason and current.get("message") == message:
            return None
        stamp = current.get("lastTransitionTime", stamp)
    return {
        "type": "PodScheduled",
        "status": "False",
        "observedGeneration": pod["metadata"].get("generation", 1),
        "lastProbeTime": None,
        "lastTransitionTime": stamp,
        "reason": reason,
        "message": message,
    }
