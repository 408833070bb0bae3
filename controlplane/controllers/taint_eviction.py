"""Deletes pods from nodes with NoExecute taints, at once or when their tolerationSeconds are over.

    nodes, pods (caches) → per pod: the time at which it has to go → delete

The time is counted from the taint's own timeAdded, so that a restart of the control plane neither
hurries nor delays anybody.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import NODE, POD
from controlplane.api.meta import timestamp
from controlplane.api.tolerations import tolerates
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.indexes import NODE_INDEX, index_by_node
from controlplane.controllers.meta import Clock, is_deleting, parse_time
from controlplane.controllers.pods import is_terminal

Taint = Mapping[str, Any]


class TaintEvictionController:
    """Reconciles pods, by their key."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._nodes = informers.of(NODE)
        self._pods = informers.of(POD)
        index_by_node(self._pods)
        self._recorder = EventRecorder(client, "taint-eviction-controller")
        self._reconciler: Reconciler[ObjectKey] = Reconciler("taint-eviction", self._reconcile, workers=8)
        self._pending: set[ObjectKey] = set()
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._nodes.wait_synced()
        await self._pods.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="taint-eviction-events")
            group.create_task(self._reconciler.run(), name="taint-eviction")

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None or _no_execute(old) == _no_execute(new):
            return
        for pod in self._pods.by_index(NODE_INDEX, new["metadata"]["name"]):
            self._reconciler.queue.add(key_of(pod))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self._pending.discard(key_of(old))
            return
        node_name = new["spec"].get("nodeName")
        if not node_name or (old is not None and old["spec"] == new["spec"]):
            return
        if _no_execute(self._nodes.get(node_name)):
            self._reconciler.queue.add(key_of(new))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        pod = self._pods.get(key[1], key[0])
        if pod is None or is_deleting(pod) or is_terminal(pod):
            self._pending.discard(key)
            return None
        taints = _no_execute(self._nodes.get(pod["spec"].get("nodeName", "")))
        due = eviction_time(taints, pod["spec"].get("tolerations") or (), self._clock())
        if due is None:
            if key in self._pending:
                self._pending.discard(key)
                self._tell(pod, f"Cancelling deletion of Pod {key[0]}/{key[1]}")
            return None
        wait = due - self._clock()
        if wait > 0:
            self._pending.add(key)
            return wait
        await self._evict(key, pod)
        return None

    async def _evict(self, key: ObjectKey, pod: Object) -> None:
        self._pending.discard(key)
        self._tell(pod, f"Marking for deletion Pod {key[0]}/{key[1]}")
        reason = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastTransitionTime": timestamp(self._clock()),
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
        }
        uid = pod["metadata"]["uid"]
        body = {"metadata": {"uid": uid}, "status": {"conditions": [reason]}}
        try:
            await self._client.patch(POD, key[1], key[0], body=body, patch_type="strategic", subresource="status")
            await self._client.delete(POD, key[1], key[0], uid=uid)
        except (NotFound, Conflict):
            # Gone, or replaced by another of its name.
            return

    def _tell(self, pod: Object, message: str) -> None:
        self._recorder.event(pod, "Normal", "TaintManagerEviction", message)


def eviction_time(taints: Sequence[Taint], tolerations: Iterable[Mapping[str, Any]], now: float) -> float | None:
    """When a pod has to leave a node with these NoExecute taints; None for never."""
    tolerations = list(tolerations)
    due: float | None = None
    for taint in taints:
        covering = [toleration for toleration in tolerations if tolerates((toleration,), taint)]
        if not covering:
            return now
        seconds = [one["tolerationSeconds"] for one in covering if one.get("tolerationSeconds") is not None]
        if seconds:
            added = taint.get("timeAdded")
            leave = (parse_time(added) if added else now) + max(0, min(seconds))
            due = leave if due is None else min(due, leave)
    return due


def _no_execute(node: Object | None) -> list[dict[str, Any]]:
    taints = (node["spec"].get("taints") or []) if node is not None else []
    return [taint for taint in taints if taint["effect"] == "NoExecute"]
