"""Notices nodes that have gone silent, and taints nodes by their conditions.

    leases, nodes (caches) → silent too long: conditions Unknown → taints → pods not ready

A lease counts from when its renewal was seen here, by this process's own clock: after a restart of
the control plane every node has the whole grace period again, and clocks need not agree.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from controlplane.api.errors import ApiError, NotFound
from controlplane.api.kinds import LEASE, NODE, POD
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.indexes import NODE_INDEX, index_by_node
from controlplane.controllers.meta import Clock
from controlplane.controllers.node_taints import managed_taints
from controlplane.controllers.pods import condition, is_ready

LEASES_NAMESPACE = "kube-node-lease"
WATCHED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
"""The conditions that a kubelet keeps, and that nobody can vouch for when it is silent."""


class NodeLifecycleController:
    """`grace_seconds` is how long a lease may stay unrenewed (upstream's node-monitor-grace-period).

    `clock` dates what is written; silence is measured by `elapsed`, which no change of the host's time disturbs.
    """

    def __init__(
        self,
        client: Client,
        informers: Informers,
        *,
        grace_seconds: float = 50.0,
        clock: Clock = time.time,
        elapsed: Clock = time.monotonic,
    ) -> None:
        self._client = client
        self._grace = grace_seconds
        self._clock = clock
        self._elapsed = elapsed
        self._nodes = informers.of(NODE)
        self._leases = informers.of(LEASE, LEASES_NAMESPACE)
        self._pods = informers.of(POD)
        index_by_node(self._pods)
        self._recorder = EventRecorder(client, "node-controller")
        self._reconciler: Reconciler[str] = Reconciler("node-lifecycle", self._reconcile)
        self._heard: dict[str, float] = {}
        self._nodes.add_handler(self._node_changed)
        self._leases.add_handler(self._lease_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (self._nodes, self._leases, self._pods):
            await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="node-lifecycle-events")
            group.create_task(self._reconciler.run(), name="node-lifecycle")

    def _lease_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and (old is None or old["spec"].get("renewTime") != new["spec"].get("renewTime")):
            self._heard[new["metadata"]["name"]] = self._elapsed()

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            name = old["metadata"]["name"]
            self._heard.pop(name, None)
            self._recorder.event(
                old, "Normal", "RemovingNode", f"Node {name} event: Removing Node {name} from Controller"
            )
            return
        name = new["metadata"]["name"]
        if old is None:
            self._heard.setdefault(name, self._elapsed())
            self._recorder.event(
                new, "Normal", "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller"
            )
        elif _status_conditions(old) != _status_conditions(new) and not _is_unknown(new):
            self._heard[name] = self._elapsed()
        self._reconciler.queue.add(name)

    async def _reconcile(self, name: str) -> float | None:
        node = self._nodes.get(name)
        if node is None:
            return None
        now, elapsed = self._clock(), self._elapsed()
        silent_for = elapsed - self._heard.get(name, elapsed)
        if silent_for > self._grace:
            node = await self._mark_unknown(node, now)
        taints = managed_taints(node, timestamp(now))
        if taints is not None:
            await self._write_taints(node, taints)
        ready = condition(node, "Ready")
        if ready is not None and ready["status"] != "True":
            await self._mark_pods_not_ready(node)
        return max(0.05, self._grace - silent_for + 0.01) if silent_for <= self._grace else self._grace

    async def _mark_unknown(self, node: Object, now: float) -> Object:
        conditions, changed = unknown_conditions(node, timestamp(now))
        if not changed:
            return node
        name = node["metadata"]["name"]
        was_ready = is_ready(node)
        body = {"status": {"conditions": conditions}}
        written = await self._client.patch(NODE, name, body=body, patch_type="merge", subresource="status")
        if was_ready:
            message = f"Node {name} status is now: NodeNotReady"
            self._recorder.event(written, "Normal", "NodeNotReady", message)
        return written

    async def _write_taints(self, node: Object, taints: list[dict[str, Any]]) -> None:
        metadata = node["metadata"]
        body = {"metadata": {"resourceVersion": metadata["resourceVersion"]}, "spec": {"taints": taints or None}}
        try:
            await self._client.patch(NODE, metadata["name"], body=body, patch_type="merge")
        except NotFound:
            return

    async def _mark_pods_not_ready(self, node: Object) -> None:
        """Takes the node's pods out of Services: nobody can say that they still answer."""
        for pod in self._pods.by_index(NODE_INDEX, node["metadata"]["name"]):
            ready = condition(pod, "Ready")
            if ready is None or ready["status"] != "True":
                continue
            entry = {**ready, "status": "False", "lastTransitionTime": timestamp(self._clock())}
            metadata = pod["metadata"]
            body = {"metadata": {"uid": metadata["uid"]}, "status": {"conditions": [entry]}}
            try:
                await self._client.patch(
                    POD,
                    metadata["name"],
                    metadata["namespace"],
                    body=body,
                    patch_type="strategic",
                    subresource="status",
                )
            except ApiError as error:
                if isinstance(error, NotFound):
                    continue
                raise
            self._recorder.event(pod, "Warning", "NodeNotReady", "Node is not ready")


def unknown_conditions(node: Object, stamp: str) -> tuple[list[dict[str, Any]], bool]:
    """The node's conditions with all that its kubelet kept set to Unknown, and whether that changes any."""
    present = {entry["type"]: entry for entry in (node.get("status") or {}).get("conditions") or ()}
    changed = False
    for type_ in WATCHED:
        known = present.get(type_)
        if known is not None and known["status"] == "Unknown":
            continue
        changed = True
        if known is None:
            present[type_] = {
                "type": type_,
                "status": "Unknown",
                "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
                "lastHeartbeatTime": node["metadata"]["creationTimestamp"],
                "lastTransitionTime": stamp,
            }
        else:
            present[type_] = {
                **known,
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": stamp,
            }
    return list(present.values()), changed


def _is_unknown(node: Object) -> bool:
    """Whether the conditions are this controller's own writing, which is no sign of life."""
    ready = condition(node, "Ready")
    return ready is not None and ready["status"] == "Unknown"


def _status_conditions(node: Object) -> Any:
    return (node.get("status") or {}).get("conditions")
