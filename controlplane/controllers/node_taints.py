"""Which taints a node's conditions call for; pure. Names and effects are upstream's well-known ones."""

from __future__ import annotations

from typing import Any

from controlplane.api.types import Object
from controlplane.controllers.pods import condition

Taint = dict[str, Any]

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"

_BY_CONDITION = {
    "MemoryPressure": {"True": "node.kubernetes.io/memory-pressure"},
    "DiskPressure": {"True": "node.kubernetes.io/disk-pressure"},
    "NetworkUnavailable": {"True": "node.kubernetes.io/network-unavailable"},
    "PIDPressure": {"True": "node.kubernetes.io/pid-pressure"},
    "Ready": {"False": NOT_READY, "Unknown": UNREACHABLE},
}
_MANAGED_NO_SCHEDULE = {key for by_status in _BY_CONDITION.values() for key in by_status.values()} | {UNSCHEDULABLE}
_MANAGED_NO_EXECUTE = {NOT_READY, UNREACHABLE}


def managed_taints(node: Object, stamp: str) -> list[Taint] | None:
    """The taints that the node should have, others' included; None where it has them already.

    `stamp` is the time that NoExecute taints are added at: tolerationSeconds count from there.
    """
    present: list[Taint] = node["spec"].get("taints") or []
    wanted = _wanted(node)
    kept = [taint for taint in present if not _is_managed(taint) or _identity(taint) in wanted]
    known = {_identity(taint) for taint in kept}
    added = [_taint(key, effect, stamp) for key, effect in wanted if (key, effect) not in known]
    if len(kept) == len(present) and not added:
        return None
    return [*kept, *added]


def _wanted(node: Object) -> list[tuple[str, str]]:
    wanted = []
    for type_, by_status in _BY_CONDITION.items():
        entry = condition(node, type_)
        key = by_status.get(entry["status"]) if entry is not None else None
        if key is not None:
            wanted.append((key, "NoSchedule"))
            if key in _MANAGED_NO_EXECUTE:
                wanted.append((key, "NoExecute"))
    if node["spec"].get("unschedulable"):
        wanted.append((UNSCHEDULABLE, "NoSchedule"))
    return wanted


def _is_managed(taint: Taint) -> bool:
    if taint["effect"] == "NoSchedule":
        return taint["key"] in _MANAGED_NO_SCHEDULE
    return taint["effect"] == "NoExecute" and taint["key"] in _MANAGED_NO_EXECUTE


def _identity(taint: Taint) -> tuple[str, str]:
    return taint["key"], taint["effect"]


def _taint(key: str, effect: str, stamp: str) -> Taint:
    return {"key": key, "effect": effect, "timeAdded": stamp}
