"""Has the victims of a preemption go: each is told why, and deleted with its own grace period."""

from __future__ import annotations

import logging

from controlplane.api.errors import ApiError, Conflict, NotFound
from controlplane.api.kinds import POD
from controlplane.api.meta import timestamp
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.scheduler.pod_info import PodInfo
from controlplane.scheduler.preemption import Candidate

log = logging.getLogger(__name__)


async def remove_victims(
    client: Client, recorder: EventRecorder, candidate: Candidate, preemptor: PodInfo, *, scheduler: str
) -> None:
    """Deletes the pods that have to go for `preemptor`; one that cannot be deleted is logged and left."""
    for victim in candidate.victims:
        if victim.is_deleting:
            continue
        try:
            await _remove(client, victim, scheduler)
        except (NotFound, Conflict):
            # It went by itself, or is another of its name.
            continue
        except (ApiError, OSError) as error:
            log.warning("not preempted", extra={"pod": f"{victim.namespace}/{victim.name}", "error": str(error)})
            continue
        message = f"Preempted by pod {preemptor.uid} on node {candidate.node}"
        recorder.event(victim.pod, "Normal", "Preempted", message)


async def _remove(client: Client, victim: PodInfo, scheduler: str) -> None:
    reason = {
        "type": "DisruptionTarget",
        "status": "True",
        "lastTransitionTime": timestamp(),
        "reason": "PreemptionByScheduler",
        "message": f"{scheduler}: preempting to accommodate a higher priority pod",
    }
    body = {"metadata": {"uid": victim.uid}, "status": {"conditions": [reason]}}
    name, namespace = victim.name, victim.namespace
    await client.patch(POD, name, namespace, body=body, patch_type="strategic", subresource="status")
    await client.delete(POD, name, namespace, uid=victim.uid)
