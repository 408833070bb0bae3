"""Rows of kinds whose pods come to an end."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, age, container_cells, human_duration, seconds_of
from controlplane.api.selectors import format_selector
from controlplane.api.types import Column, Object

_WIDE = (
    Column("Containers", priority=1, description="Names of each container in the template."),
    Column("Images", priority=1, description="Images referenced by each container in the template."),
    Column("Selector", priority=1, description="Label selector for pods."),
)

JOB_COLUMNS = (
    NAME,
    Column("Status", description="Status of the job."),
    Column("Completions", description="Pods that ended well, of those that are to."),
    Column("Duration", description="Time required to complete the job."),
    AGE,
    *_WIDE,
)

_STATES = (("Suspended", "Suspended"), ("FailureTarget", "FailureTarget"), ("SuccessCriteriaMet", "SuccessCriteriaMet"))


def job_row(obj: Object, now: float) -> list[Any]:
    """The cells of one Job."""
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        _state(obj),
        _completions(obj),
        _duration(obj, now),
        age(obj, now),
        *container_cells(spec.get("template", {})),
        format_selector(spec.get("selector")),
    ]


def _state(obj: Object) -> str:
    conditions = obj.get("status", {}).get("conditions", ())
    holding = {entry["type"] for entry in conditions if entry["status"] == "True"}
    for finished in ("Complete", "Failed"):
        if finished in holding:
            return finished
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    return next((state for type_, state in _STATES if type_ in holding), "Running")


def _completions(obj: Object) -> str:
    spec, succeeded = obj["spec"], obj.get("status", {}).get("succeeded", 0)
    if "completions" in spec:
        return f"{succeeded}/{spec['completions']}"
    parallelism = spec.get("parallelism", 0)
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _duration(obj: Object, now: float) -> str:
    status = obj.get("status", {})
    started = seconds_of(status.get("startTime"))
    if started is None:
        return ""
    ended = seconds_of(status.get("completionTime"))
    return human_duration((now if ended is None else ended) - started)
