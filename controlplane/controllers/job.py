"""Runs pods until as many have succeeded as a Job asks for, or it must be given up.

    Job, pods (cache) → tally → verdict → create or delete → status → finalizers → status

The numbers come from `job_tally` and `job_steps`, the meaning of failures from `job_policy`, pauses from `job_backoff`;
this module reads, writes and tells. A Job that is to end first gets SuccessCriteriaMet or FailureTarget, and Complete
or Failed only when its last pod has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from controlplane.api.errors import ApiError, NotFound
from controlplane.api.kinds import JOB, POD
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.job_backoff import FIRST_BACKOFF_SECONDS, JobBackoff
from controlplane.controllers.job_pods import (
    TRACKING,
    failures_of,
    free_indexes,
    index_of,
    is_indexed,
    is_tracked,
    job_pod,
    limits_each_index,
    replaces_only_failed,
)
from controlplane.controllers.job_policy import (
    BACKOFF_LIMIT,
    DEADLINE,
    FAILED_INDEXES,
    MAX_FAILED_INDEXES,
    Reason,
    deadline_in,
    restarts_exceed,
)
from controlplane.controllers.job_steps import entry, has_ended, met, settled, surplus_of, wanted, with_entry
from controlplane.controllers.job_tally import Tally
from controlplane.controllers.meta import Clock, controller_of, is_deleting, with_status
from controlplane.controllers.owned_pods import OwnedPods
from controlplane.controllers.pacing import Freshness, Throttle
from controlplane.controllers.pod_control import PodControl
from controlplane.controllers.pods import condition

BURST_PODS = 500
STATUS_INTERVAL_SECONDS = 0.02
OWN_NAME = "kubernetes.io/job-controller"

TRACKED = "job-tracked"
"""Pods with the tracking finalizer by namespace and name of their Job; the name is "" for orphans."""


class JobController:
    """Reconciles Jobs; `clock` gives the present time, `first_backoff` the seconds before a failed pod is replaced."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        *,
        clock: Clock = time.time,
        first_backoff: float = FIRST_BACKOFF_SECONDS,
    ) -> None:
        self._client = client
        self._clock = clock
        self._backoff = JobBackoff(first_backoff)
        self._jobs = informers.of(JOB)
        self._all_pods = informers.of(POD)
        self._all_pods.add_index(TRACKED, _tracked)
        self._recorder = EventRecorder(client, "job-controller")
        self._control = PodControl(client, self._recorder)
        self._reconciler: Reconciler[ObjectKey] = Reconciler("job", self._reconcile)
        self._throttle = Throttle(self._reconciler.queue, STATUS_INTERVAL_SECONDS)
        self._pods = OwnedPods(client, informers, JOB, self._control, self._throttle.add)
        self._freshness = Freshness()
        self._pod_freshness = Freshness()
        self._jobs.add_handler(self._job_changed)
        self._all_pods.add_handler(self._pod_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._pods.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="job-events")
            group.create_task(self._reconciler.run(), name="job")

    def _job_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._throttle.add(key_of(new))
            return
        assert old is not None
        self._control.expectations.forget(old["metadata"]["uid"])
        self._backoff.forget(old["metadata"]["uid"])
        self._freshness.gone(key_of(old))
        self._throttle.add(key_of(old))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self._pod_freshness.gone(key_of(old))
        elif is_tracked(new) and controller_of(new) is None:
            self._throttle.add((new["metadata"]["namespace"], ""))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        namespace, name = key
        job = self._jobs.get(name, namespace)
        uid = job["metadata"]["uid"] if job is not None else None
        tracked = self._all_pods.by_index(TRACKED, f"{namespace}/{name}")
        strays = [pod for pod in tracked if (controller_of(pod) or {}).get("uid") != uid or uid is None]
        await self._release(strays)
        if job is None or self._freshness.is_stale(key, job):
            return None
        if (job["spec"].get("managedBy") or OWN_NAME) != OWN_NAME:
            return None
        if has_ended(job):
            await self._release([pod for pod in tracked if pod not in strays])
            return None
        pods = await self._pods.claimed(job)
        is_late = any(self._pod_freshness.is_stale(key_of(pod), pod) for pod in pods)
        if is_late or not self._control.expectations.satisfied(job["metadata"]["uid"]):
            return None
        return await self._sync(job, Tally(job, pods))

    async def _sync(self, job: Object, tally: Tally) -> float | None:
        now = self._clock()
        status = self._begun(job, now)
        reason = self._reason_to_fail(job, status, tally, now)
        target = settled(job)
        error, again = None, None
        active = len(tally.active)
        if target is None and reason is None and not is_deleting(job):
            error, again, active = await self._manage(tally, now)
        if target is None:
            if reason is not None:
                target = entry("FailureTarget", reason, now)
            elif error is None and (why := met(job, tally, active)) is not None:
                target = entry("SuccessCriteriaMet", why, now)
        if target is not None:
            await self._clear(tally, uncounted=target["type"] == "SuccessCriteriaMet")
            active = 0
            status["conditions"] = with_entry(status, target)
        written = await self._write(job, status | tally.status(active, len(tally.terminating)))
        released = tally.to_release
        await self._release(released)
        tally.count_released({pod["metadata"]["uid"] for pod in released})
        if target is not None and not tally.active and not tally.terminating:
            self._finish(job, status, target, now)
        await self._write(written, status | tally.status(active, len(tally.terminating)))
        if error is not None:
            raise error
        due = deadline_in(job, status.get("startTime"), now)
        return min((seconds for seconds in (again, due) if seconds is not None and target is None), default=None)

    def _begun(self, job: Object, now: float) -> dict[str, Any]:
        """The present status without counts, with its start and with what suspending or resuming changes."""
        counts = ("active", "succeeded", "failed", "completedIndexes", "failedIndexes", "ready", "terminating")
        status = {name: value for name, value in (job.get("status") or {}).items() if name not in counts}
        suspended = condition(job, "Suspended")
        is_suspended = suspended is not None and suspended["status"] == "True"
        if job["spec"].get("suspend"):
            if not is_suspended:
                status["conditions"] = with_entry(
                    status, entry("Suspended", Reason("JobSuspended", "Job suspended"), now)
                )
                self._recorder.event(job, "Normal", "Suspended", "Job suspended")
            return status
        if is_suspended:
            resumed = entry("Suspended", Reason("JobResumed", "Job resumed"), now) | {"status": "False"}
            status["conditions"] = with_entry(status, resumed)
            status["startTime"] = timestamp(now)
            self._recorder.event(job, "Normal", "Resumed", "Job resumed")
        status.setdefault("startTime", timestamp(now))
        return status

    def _reason_to_fail(self, job: Object, status: dict[str, Any], tally: Tally, now: float) -> Reason | None:
        if tally.failure is not None:
            return tally.failure
        is_past = tally.newly_failed and tally.failed > job["spec"].get("backoffLimit", 6)
        if is_past or restarts_exceed(job, tally.pods.values()):
            return BACKOFF_LIMIT
        failed, most = len(tally.failed_indexes), job["spec"].get("maxFailedIndexes")
        if most is not None and failed > most:
            return MAX_FAILED_INDEXES
        if failed and failed + tally.succeeded >= job["spec"].get("completions", 0):
            return FAILED_INDEXES
        due = deadline_in(job, status.get("startTime"), now)
        return DEADLINE if due is not None and due <= 0 else None

    async def _manage(self, tally: Tally, now: float) -> tuple[ApiError | None, float | None, int]:
        """Brings the active pods to their number; returns an error, seconds to wait for, and that number."""
        job, active = tally.job, tally.active
        wait = 0.0 if limits_each_index(job) else self._backoff.of_job(tally, now)
        if job["spec"].get("suspend"):
            await self._delete(job, active)
            return None, None, 0
        number = wanted(job, tally)
        surplus = surplus_of(job, tally, number, now)
        if surplus:
            await self._delete(job, surplus)
            return None, None, len(active) - len(surplus)
        missing = number - len(active)
        if replaces_only_failed(job):
            missing -= len(tally.terminating)
        if missing <= 0:
            return None, None, len(active)
        if wait > 0:
            return None, wait, len(active)
        count = min(missing, BURST_PODS)
        pods: list[Object]
        again = None
        if is_indexed(job):
            holding = active + (tally.terminating if replaces_only_failed(job) else [])
            taken = tally.completed | tally.failed_indexes
            taken |= {index for pod in holding if (index := index_of(pod)) is not None}
            failures = tally.last_failures if limits_each_index(job) else {}
            waits = {index: wait for index, pod in failures.items() if (wait := self._backoff.of_index(pod, now)) > 0}
            again = min((wait for index, wait in waits.items() if index not in taken), default=None)
            free = free_indexes(job, taken | waits.keys(), count)
            pods = [job_pod(job, i, failures_of(failures[i]) if i in failures else 0) for i in free]
        else:
            pods = [job_pod(job, None)] * count
        error = await self._control.create_many(job, pods)
        return error, again, len(active) + (len(pods) if error is None else 0)

    async def _clear(self, tally: Tally, *, uncounted: bool) -> None:
        """Deletes what still runs of a Job that is to end; of a failed one these pods count as failed."""
        if uncounted:
            await self._delete(tally.job, tally.active)
        elif tally.active:
            await self._control.delete_many(tally.job, tally.active)

    async def _delete(self, job: Object, pods: Sequence[Object]) -> None:
        """Deletes pods that do not count, neither as succeeded nor as failed."""
        await self._release(pods)
        await self._control.delete_many(job, pods)

    async def _release(self, pods: Sequence[Object]) -> None:
        await asyncio.gather(*(self._release_one(pod) for pod in pods if is_tracked(pod)))

    async def _release_one(self, pod: Object) -> None:
        metadata = pod["metadata"]
        body = {"metadata": {"$deleteFromPrimitiveList/finalizers": [TRACKING], "uid": metadata["uid"]}}
        try:
            written = await self._client.patch(
                POD, metadata["name"], metadata["namespace"], body=body, patch_type="strategic"
            )
        except NotFound:
            return
        self._pod_freshness.wrote(written)

    def _finish(self, job: Object, status: dict[str, Any], target: dict[str, Any], now: float) -> None:
        """Puts in the last condition and tells it."""
        self._backoff.forget(job["metadata"]["uid"])
        reason = Reason(target["reason"], target["message"])
        if target["type"] == "SuccessCriteriaMet":
            status["conditions"] = with_entry(status, entry("Complete", reason, now))
            status["completionTime"] = timestamp(now)
            self._recorder.event(job, "Normal", "Completed", "Job completed")
        else:
            status["conditions"] = with_entry(status, entry("Failed", reason, now))
            self._recorder.event(job, "Warning", reason.reason, reason.message)

    async def _write(self, job: Object, status: dict[str, Any]) -> Object:
        if status == job.get("status"):
            return job
        written = await self._client.update(JOB, with_status(job, status), subresource="status")
        self._freshness.wrote(written)
        return written


def _tracked(pod: Object) -> tuple[str, ...]:
    if not is_tracked(pod):
        return ()
    owner = controller_of(pod)
    if owner is not None and owner["kind"] != JOB.name:
        return ()
    return (f"{pod['metadata']['namespace']}/{owner['name'] if owner else ''}",)
