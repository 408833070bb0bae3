"""Removes pods that no kubelet will ever remove.

Pods of nodes that are gone, terminating pods that never had a node, terminating pods of nodes that
are out of service, and finished pods beyond a threshold. A node that is missing gets some time to
come back first, as upstream gives it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import NODE, POD
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.controllers.indexes import NODE_INDEX, index_by_node
from controlplane.controllers.meta import Clock, created_at, is_deleting
from controlplane.controllers.pods import is_ready, is_terminal

PERIOD_SECONDS = 20.0
QUARANTINE_SECONDS = 40.0
FINISHED_PODS_BOUND = 12_500
OUT_OF_SERVICE = "node.kubernetes.io/out-of-service"


class PodGarbageCollector:
    """`period` is how often it looks, `quarantine` how long a node may be missing, both in seconds."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        *,
        period: float = PERIOD_SECONDS,
        quarantine: float = QUARANTINE_SECONDS,
        clock: Clock = time.time,
    ) -> None:
        self._client = client
        self._period = period
        self._quarantine = quarantine
        self._clock = clock
        self._nodes = informers.of(NODE)
        self._pods = informers.of(POD)
        index_by_node(self._pods)
        self._recorder = EventRecorder(client, "pod-garbage-collector")
        self._missing: dict[str, float] = {}

    async def run(self) -> None:
        """Works until cancelled."""
        await self._nodes.wait_synced()
        await self._pods.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="pod-gc-events")
            group.create_task(self._look(), name="pod-gc")

    async def _look(self) -> None:
        while True:
            await self.collect()
            await asyncio.sleep(self._period)

    async def collect(self) -> None:
        """Looks once."""
        pods = self._pods.list()
        finished = sorted((pod for pod in pods if is_terminal(pod)), key=created_at)
        for pod in finished[: max(0, len(finished) - FINISHED_PODS_BOUND)]:
            await self._remove(pod, {})
        gone = self._gone_nodes({pod["spec"]["nodeName"] for pod in pods if pod["spec"].get("nodeName")})
        for name in gone:
            await self._remove_of_gone(name)
        for pod in pods:
            if is_deleting(pod) and (not pod["spec"].get("nodeName") or self._is_out_of_service(pod)):
                await self._remove(pod, {})

    def _gone_nodes(self, named: set[str]) -> list[str]:
        """The nodes that pods name and that have been missing for long enough."""
        now = self._clock()
        missing = {name for name in named if self._nodes.get(name) is None}
        self._missing = {name: self._missing.get(name, now) for name in missing}
        return [name for name, since in self._missing.items() if now - since >= self._quarantine]

    async def _remove_of_gone(self, name: str) -> None:
        try:
            await self._client.get(NODE, name)
        except NotFound:
            for pod in self._pods.by_index(NODE_INDEX, name):
                await self._remove(pod, orphaned(self._clock()))

    async def _remove(self, pod: Object, reason: dict[str, Any]) -> None:
        await remove_pod(self._client, pod, reason)

    def _is_out_of_service(self, pod: Object) -> bool:
        node = self._nodes.get(pod["spec"]["nodeName"])
        if node is None or is_ready(node):
            return False
        return any(taint["key"] == OUT_OF_SERVICE for taint in node["spec"].get("taints") or ())


def orphaned(now: float) -> dict[str, Any]:
    """The condition of a pod whose node is no more; `now` in epoch seconds."""
    return {
        "type": "DisruptionTarget",
        "status": "True",
        "lastTransitionTime": timestamp(now),
        "reason": "DeletionByPodGC",
        "message": "PodGC: node no longer exists",
    }


async def remove_pod(client: Client, pod: Object, reason: dict[str, Any]) -> None:
    """Ends a pod in the API, Failed and with the condition `reason` if there is one, and waits for no kubelet."""
    metadata = pod["metadata"]
    name, namespace, uid = metadata["name"], metadata["namespace"], metadata["uid"]
    try:
        if not is_terminal(pod):
            body = {
                "metadata": {"uid": uid},
                "status": {"phase": "Failed", "conditions": [reason] if reason else []},
            }
            await client.patch(POD, name, namespace, body=body, patch_type="strategic", subresource="status")
        await client.delete(POD, name, namespace, grace_period_seconds=0, uid=uid)
    except (NotFound, Conflict):
        # Gone, or replaced by another of its name.
        return
