"""Rows of kinds whose pods come to an end."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, NONE, age, container_cells, human_duration, seconds_of, since
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

CRON_JOB_COLUMNS = (
    NAME,
    Column("Schedule", description="The schedule in Cron format."),
    Column("Timezone", description="The time zone that the schedule is read in."),
    Column("Suspend", description="Whether no more Jobs are started."),
    Column("Active", "integer", description="The number of Jobs that run."),
    Column("Last Schedule", description="Time since a Job was last started."),
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


def cron_job_row(obj: Object, now: float) -> list[Any]:
    """The cells of one CronJob."""
    spec, status = obj["spec"], obj.get("status", {})
    job = spec.get("jobTemplate", {}).get("spec", {})
    last = status.get("lastScheduleTime")
    return [
        obj["metadata"]["name"],
        spec.get("schedule", ""),
        spec.get("timeZone") or NONE,
        str(bool(spec.get("suspend"))),
        len(status.get("active", ())),
        since(last, now) if last else NONE,
        age(obj, now),
        *container_cells(job.get("template", {})),
        format_selector(job.get("selector")),
    ]
