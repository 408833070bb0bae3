"""Starts Jobs at the times that a CronJob's schedule says, and keeps some of those that have finished.

    CronJob, Jobs (cache) → which are active → history → due? → concurrency policy → Job → status

Nothing is remembered between reconciles: what is due follows from `status.lastScheduleTime`, and the
name of a Job from its time, so that no time starts two.
"""

from __future__ import annotations

import asyncio
import time
from email.utils import formatdate
from typing import Any

from controlplane.api.cron import zone_named
from controlplane.api.errors import AlreadyExists, ApiError, NotFound
from controlplane.api.kinds import CRON_JOB, JOB
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.cron_schedule import MANY_MISSED, due, job_for, job_name
from controlplane.controllers.indexes import CONTROLLER, index_owned
from controlplane.controllers.meta import Clock, controller_of, controller_uid, is_deleting, with_status
from controlplane.controllers.pacing import Freshness
from controlplane.controllers.pods import condition

LATEST_CHECK_SECONDS = 3600.0
"""A clock that is set back or forth must not make a CronJob sleep for ever."""

Status = dict[str, Any]


class CronJobController:
    """Reconciles CronJobs; `clock` gives the present time."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._cron_jobs = informers.of(CRON_JOB)
        self._jobs = informers.of(JOB)
        index_owned(self._jobs)
        self._recorder = EventRecorder(client, "cronjob-controller")
        self._reconciler: Reconciler[ObjectKey] = Reconciler("cronjob", self._reconcile)
        self._freshness = Freshness()
        self._cron_jobs.add_handler(self._cron_job_changed)
        self._jobs.add_handler(self._job_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._cron_jobs.wait_synced()
        await self._jobs.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="cronjob-events")
            group.create_task(self._reconciler.run(), name="cronjob")

    def _cron_job_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._reconciler.queue.add(key_of(new))
        elif old is not None:
            self._freshness.gone(key_of(old))

    def _job_changed(self, old: Object | None, new: Object | None) -> None:
        job = new or old
        assert job is not None
        owner = controller_of(job)
        if owner is not None and owner["kind"] == CRON_JOB.name:
            self._reconciler.queue.add((job["metadata"]["namespace"], owner["name"]))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        namespace, name = key
        cron_job = self._cron_jobs.get(name, namespace)
        if cron_job is None or self._freshness.is_stale(key, cron_job):
            return None
        jobs = self._jobs.by_index(CONTROLLER, cron_job["metadata"]["uid"])
        status = await self._observed(cron_job, jobs)
        again = None
        if not is_deleting(cron_job):
            await self._trim(cron_job, [job for job in jobs if _outcome(job)])
            if not cron_job["spec"].get("suspend"):
                again = await self._start_when_due(cron_job, status)
        if status != (cron_job.get("status") or {}):
            written = await self._client.update(CRON_JOB, with_status(cron_job, status), subresource="status")
            self._freshness.wrote(written)
        return again

    async def _observed(self, cron_job: Object, jobs: list[Object]) -> Status:
        """The status with what has become of the Jobs that were active."""
        status: Status = dict(cron_job.get("status") or {})
        active = {reference["uid"]: reference for reference in status.pop("active", ())}
        known = {job["metadata"]["uid"]: job for job in jobs}
        for uid, job in known.items():
            outcome, name = _outcome(job), job["metadata"]["name"]
            if outcome and active.pop(uid, None):
                message = f"Saw completed job: {name}, condition: {outcome}"
                self._recorder.event(cron_job, "Normal", "SawCompletedJob", message)
            elif not outcome and uid not in active and not is_deleting(job):
                message = f"Saw a job that the controller did not create or forgot: {name}"
                self._recorder.event(cron_job, "Warning", "UnexpectedJob", message)
            if outcome == "Complete":
                ended = job["status"].get("completionTime", "")
                status["lastSuccessfulTime"] = max(status.get("lastSuccessfulTime", ""), ended)
        for uid, reference in list(active.items()):
            if uid not in known and await self._is_gone(reference):
                message = f"Active job went missing: {reference['name']}"
                self._recorder.event(cron_job, "Normal", "MissingJob", message)
                del active[uid]
        return _with_active(status, list(active.values()))

    async def _is_gone(self, reference: dict[str, Any]) -> bool:
        """Asks the API itself: the cache may not show a Job yet that was just created."""
        try:
            found = await self._client.get(JOB, reference["name"], reference["namespace"])
        except NotFound:
            return True
        return bool(found["metadata"]["uid"] != reference["uid"])

    async def _trim(self, cron_job: Object, finished: list[Object]) -> None:
        """Deletes the oldest finished Jobs beyond the history limits."""
        limits = {
            "Complete": cron_job["spec"].get("successfulJobsHistoryLimit", 3),
            "Failed": cron_job["spec"].get("failedJobsHistoryLimit", 1),
        }
        for outcome, limit in limits.items():
            jobs = [job for job in finished if _outcome(job) == outcome and not is_deleting(job)]
            jobs.sort(key=lambda job: (job["status"].get("startTime", ""), job["metadata"]["name"]))
            for job in jobs[: max(0, len(jobs) - limit)]:
                await self._delete(cron_job, job["metadata"]["name"], job["metadata"]["uid"])

    async def _start_when_due(self, cron_job: Object, status: Status) -> float | None:
        """Starts the Job that is due, if the concurrency policy lets it; returns the seconds until the next."""
        now, zone = self._clock(), cron_job["spec"].get("timeZone")
        if zone and zone_named(zone) is None:
            # It was known when the CronJob was made: another host's list, or another version of it.
            message = f'invalid timeZone: "{zone}": unknown time zone {zone}'
            self._recorder.event(cron_job, "Warning", "UnknownTimeZone", message)
            return None
        found = due(cron_job, now)
        again = None if found.next is None else min(max(found.next - now, 0.0) + 0.1, LATEST_CHECK_SECONDS)
        if found.missed > MANY_MISSED:
            text = "too many missed start times. Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            self._recorder.event(cron_job, "Warning", "TooManyMissedTimes", text)
        if found.last is None:
            return again
        deadline = cron_job["spec"].get("startingDeadlineSeconds")
        if deadline is not None and found.last + deadline < now:
            message = f"Missed scheduled time to start a job: {formatdate(found.last)}"
            self._recorder.event(cron_job, "Warning", "MissSchedule", message)
            return again
        active: list[dict[str, Any]] = status.get("active") or []
        if any(one["name"] == job_name(cron_job, found.last) for one in active):
            return again
        policy = cron_job["spec"].get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and active:
            text = "Not starting job because prior execution is running and concurrency policy is Forbid"
            self._recorder.event(cron_job, "Normal", "JobAlreadyActive", text)
            return again
        if policy == "Replace":
            for reference in active:
                await self._delete(cron_job, reference["name"], reference["uid"])
            active = []
        job = await self._create(cron_job, found.last)
        if job is not None and not _outcome(job):
            active = [*active, _reference(job)]
        _with_active(status, active)
        status["lastScheduleTime"] = timestamp(found.last)
        return again

    async def _create(self, cron_job: Object, scheduled: float) -> Object | None:
        """Creates the Job of one time; None when its name is taken by another's."""
        wanted = job_for(cron_job, scheduled)
        name, namespace = wanted["metadata"]["name"], wanted["metadata"]["namespace"]
        try:
            created = await self._client.create(JOB, wanted, namespace)
        except AlreadyExists:
            existing = await self._client.get(JOB, name, namespace)
            return existing if controller_uid(existing) == cron_job["metadata"]["uid"] else None
        except ApiError as error:
            self._recorder.event(cron_job, "Warning", "FailedCreate", f"Error creating job: {error.message}")
            raise
        self._recorder.event(cron_job, "Normal", "SuccessfulCreate", f"Created job {name}")
        return created

    async def _delete(self, cron_job: Object, name: str, uid: str) -> None:
        try:
            await self._client.delete(
                JOB, name, cron_job["metadata"]["namespace"], propagation_policy="Background", uid=uid
            )
        except NotFound:
            return
        except ApiError as error:
            self._recorder.event(cron_job, "Warning", "FailedDelete", f"Deleted job: {error.message}")
            raise
        self._recorder.event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {name}")


def _outcome(job: Object) -> str:
    """ "Complete" or "Failed" for a finished Job, "" for one that is not."""
    for type_ in ("Complete", "Failed"):
        found = condition(job, type_)
        if found is not None and found["status"] == "True":
            return type_
    return ""


def _reference(job: Object) -> dict[str, Any]:
    metadata = job["metadata"]
    return {
        "kind": JOB.name,
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "apiVersion": JOB.api_version,
        "resourceVersion": metadata["resourceVersion"],
    }


def _with_active(status: Status, active: list[dict[str, Any]]) -> Status:
    """Puts the active Jobs into `status`, where an empty list is not kept."""
    status.pop("active", None)
    if active:
        status["active"] = active
    return status
