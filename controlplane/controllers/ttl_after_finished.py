"""Deletes finished Jobs when their ttlSecondsAfterFinished are over."""

from __future__ import annotations

import asyncio
import time

from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import JOB
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import Clock, is_deleting, parse_time
from controlplane.controllers.pods import condition


class TTLAfterFinished:
    """Reconciles Jobs; `clock` gives the present time."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._jobs = informers.of(JOB)
        self._reconciler: Reconciler[ObjectKey] = Reconciler("ttl-after-finished", self._reconcile, workers=1)
        self._jobs.add_handler(self._job_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._jobs.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run(), name="ttl-after-finished")

    def _job_changed(self, _: Object | None, new: Object | None) -> None:
        if new is not None and new["spec"].get("ttlSecondsAfterFinished") is not None:
            self._reconciler.queue.add(key_of(new))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        job = self._jobs.get(key[1], key[0])
        due = _due(job) if job is not None else None
        if job is None or due is None:
            return None
        remaining = due - self._clock()
        if remaining > 0:
            return remaining
        metadata = job["metadata"]
        try:
            await self._client.delete(
                JOB,
                metadata["name"],
                metadata["namespace"],
                propagation_policy="Foreground",
                uid=metadata["uid"],
                resource_version=metadata["resourceVersion"],
            )
        except (NotFound, Conflict):
            # Gone, or changed: then the change brings the key back.
            return None
        return None


def _due(job: Object) -> float | None:
    """When the Job is to be deleted; None while it runs, or without a limit."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    finished = condition(job, "Complete") or condition(job, "Failed")
    if ttl is None or finished is None or finished["status"] != "True" or is_deleting(job):
        return None
    return float(parse_time(finished["lastTransitionTime"]) + ttl)
