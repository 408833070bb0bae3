"""When a CronJob is due, and the Job that it starts then; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from controlplane.api.cron import Schedule, parse_schedule, zone_named
from controlplane.api.kinds import JOB
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.controllers.meta import controller_reference, created_at, parse_time

SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MANY_MISSED = 100
LOOKED_AT = 1000
"""So many missed times are looked at one by one; of more, a recent part only."""


class Due(NamedTuple):
    """The last time at or before now at which a Job should have started, how many were missed, the next one."""

    last: float | None
    missed: int
    next: float | None


def due(cron_job: Object, now: float) -> Due:
    """Looks from the last start, or the CronJob's creation, but no further back than the starting deadline."""
    spec = cron_job["spec"]
    schedule, zone = parse_schedule(spec["schedule"]), zone_named(spec.get("timeZone") or "UTC")
    last_start = (cron_job.get("status") or {}).get("lastScheduleTime")
    earliest = parse_time(last_start) if last_start else created_at(cron_job)
    deadline = spec.get("startingDeadlineSeconds")
    if deadline is not None:
        earliest = max(earliest, now - deadline)
    last, missed = None, 0
    at = schedule.after(earliest, zone)
    while at is not None and at <= now:
        last, missed = at, missed + 1
        if missed == LOOKED_AT:
            at = max(at, now - _interval(schedule, at) * MANY_MISSED)
        at = schedule.after(at, zone)
    return Due(last, missed, at)


def _interval(schedule: Schedule, at: float) -> float:
    following = schedule.after(at)
    return (following or at) - at


def job_name(cron_job: Object, scheduled: float) -> str:
    """The name of the Job of one scheduled time: the same however often it is tried."""
    return f"{cron_job['metadata']['name']}-{int(scheduled) // 60}"


def job_for(cron_job: Object, scheduled: float) -> Object:
    """The Job that the CronJob starts for one scheduled time."""
    template, metadata = cron_job["spec"]["jobTemplate"], cron_job["metadata"]
    wanted = template.get("metadata") or {}
    zone = cron_job["spec"].get("timeZone")
    stamp = timestamp(scheduled)
    if zone:
        local = datetime.fromtimestamp(scheduled, UTC).astimezone(zone_named(zone) or UTC)
        stamp = local.isoformat().replace("+00:00", "Z")
    made: Object = {
        "apiVersion": JOB.api_version,
        "kind": JOB.name,
        "metadata": {
            "name": job_name(cron_job, scheduled),
            "namespace": metadata["namespace"],
            "annotations": {**(wanted.get("annotations") or {}), SCHEDULED: stamp},
            "ownerReferences": [controller_reference(cron_job)],
        },
        "spec": template["spec"],
    }
    if wanted.get("labels"):
        made["metadata"]["labels"] = wanted["labels"]
    return made
