"""What a Job is short of, has too much of, and has come to: pure functions of the Job and its tally."""

from __future__ import annotations

from typing import Any

from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.controllers.job_pods import index_of, is_indexed
from controlplane.controllers.job_policy import COMPLETED, Reason, success_rule
from controlplane.controllers.job_tally import Tally
from controlplane.controllers.pods import condition, deletion_order


def has_ended(job: Object) -> bool:
    """Whether it is complete or has failed."""
    return any((found := condition(job, type_)) and found["status"] == "True" for type_ in ("Complete", "Failed"))


def settled(job: Object) -> dict[str, Any] | None:
    """The condition by which it is already settled how the Job ends."""
    return condition(job, "FailureTarget") or condition(job, "SuccessCriteriaMet")


def wanted(job: Object, tally: Tally) -> int:
    """How many pods should be active."""
    parallelism: int = job["spec"].get("parallelism", 1)
    completions: int | None = job["spec"].get("completions")
    if completions is None:
        return len(tally.active) if tally.succeeded else parallelism
    return max(0, min(completions - tally.succeeded - len(tally.failed_indexes), parallelism))


def surplus_of(job: Object, tally: Tally, number: int, now: float) -> list[Object]:
    """The active pods to delete: of indexes that are done or held twice, and those beyond `number`."""
    active = tally.active
    surplus: list[Object] = []
    if is_indexed(job):
        held = tally.completed | tally.failed_indexes
        for pod in active:
            index = index_of(pod)
            if index is None or index in held or index >= job["spec"].get("completions", 0):
                surplus.append(pod)
            else:
                held.add(index)
    more = len(active) - len(surplus) - number
    if more > 0:
        others = [pod for pod in active if pod not in surplus]
        surplus += deletion_order(others, others, now)[:more]
    return surplus


def met(job: Object, tally: Tally, active: int) -> Reason | None:
    """Why the Job has succeeded; None while it has not."""
    if job["spec"].get("successPolicy"):
        rule = success_rule(job, tally.completed)
        if rule is not None:
            return rule
    return COMPLETED if _is_complete(job, tally, active) else None


def _is_complete(job: Object, tally: Tally, active: int) -> bool:
    completions = job["spec"].get("completions")
    if completions is None:
        return tally.succeeded > 0 and active == 0
    return bool(tally.succeeded >= completions)


def entry(type_: str, reason: Reason, now: float) -> dict[str, Any]:
    """A condition that is true from now on."""
    stamp = timestamp(now)
    return {
        "type": type_,
        "status": "True",
        "lastProbeTime": stamp,
        "lastTransitionTime": stamp,
        "reason": reason.reason,
        "message": reason.message,
    }


def with_entry(status: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions of a status with a new one, in the place of any of its type."""
    present: list[dict[str, Any]] = status.get("conditions") or []
    return [*(one for one in present if one["type"] != new["type"]), new]
