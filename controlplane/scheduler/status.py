"""The PodScheduled condition of a pod that has no node yet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from controlplane.api.types import Object


def unschedulable_condition(pod: Object, reason: str, message: str, now: float) -> dict[str, Any] | None:
    """The condition to write; None where the pod says just that already."""
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
