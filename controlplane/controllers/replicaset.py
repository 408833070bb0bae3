"""Keeps as many pods of a template as a ReplicaSet, or a ReplicationController, asks for.

    ReplicaSet, pods (cache) → claim → create or delete the difference → status

It creates in slow-start batches, so that a quota or a webhook that refuses pods is asked once and
not a hundred times, and it does not act again before the cache shows what it did last. It never
updates a pod: a changed template is the Deployment's business.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from controlplane.api.errors import ApiError
from controlplane.api.kinds import REPLICA_SET, REPLICATION_CONTROLLER
from controlplane.api.meta import timestamp
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.indexes import CONTROLLER, index_owned
from controlplane.controllers.meta import (
    Clock,
    controller_uid,
    is_deleting,
    with_status,
)
from controlplane.controllers.owned_pods import OwnedPods
from controlplane.controllers.pacing import Freshness, Throttle
from controlplane.controllers.pod_control import PodControl, pod_of_template
from controlplane.controllers.pods import available_in, deletion_order, is_active, is_ready, is_terminal

BURST_REPLICAS = 500
STATUS_INTERVAL_SECONDS = 0.015
SECONDS_PER_POD = 0.0001
"""A large set is looked at less often: a look at a thousand pods takes several milliseconds."""


class ReplicaSetController:
    """Reconciles ReplicaSets, or the `kind` that is like them; `clock` gives the present time for minReadySeconds."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        *,
        kind: Kind = REPLICA_SET,
        component: str = "replicaset-controller",
        clock: Clock = time.time,
    ) -> None:
        self._client = client
        self._kind = kind
        self._clock = clock
        self._sets = informers.of(kind)
        index_owned(self._sets)
        self._recorder = EventRecorder(client, component)
        self._reconciler: Reconciler[ObjectKey] = Reconciler(kind.singular, self._reconcile, workers=8)
        self._throttle = Throttle(self._reconciler.queue, STATUS_INTERVAL_SECONDS)
        self._control = PodControl(client, self._recorder)
        self._freshness = Freshness()
        self._pods = OwnedPods(client, informers, kind, self._control, self._throttle.add)
        self._sets.add_handler(self._set_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._pods.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name=f"{self._kind.singular}-events")
            group.create_task(self._reconciler.run(), name=self._kind.singular)

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self._control.expectations.forget(old["metadata"]["uid"])
            self._freshness.gone(key_of(old))
            return
        if old is None or old.get("spec") != new.get("spec") or is_deleting(old) != is_deleting(new):
            self._reconciler.queue.add(key_of(new))
        else:
            self._throttle.add(key_of(new))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        namespace, name = key
        rs = self._sets.get(name, namespace)
        if rs is None or self._freshness.is_stale(key, rs):
            return None
        uid = rs["metadata"]["uid"]
        pods = await self._pods.claimed(rs)
        self._throttle.rest(key, len(pods) * SECONDS_PER_POD)
        active = [pod for pod in pods if is_active(pod)]
        error = None
        if not is_deleting(rs) and self._control.expectations.satisfied(uid):
            error = await self._manage(rs, active)
        now = self._clock()
        terminating = sum(1 for pod in pods if is_deleting(pod) and not is_terminal(pod))
        status, again = replicaset_status(rs, active, terminating, error, now)
        if status != rs.get("status"):
            written = await self._client.update(self._kind, with_status(rs, status), subresource="status")
            self._freshness.wrote(written)
        if error is not None:
            raise error
        return again

    async def _manage(self, rs: Object, active: list[Object]) -> ApiError | None:
        difference = rs["spec"].get("replicas", 1) - len(active)
        if difference > 0:
            return await self._control.create_many(rs, [pod_of_template(rs)] * min(difference, BURST_REPLICAS))
        if difference < 0:
            victims = deletion_order(active, self._related(rs), self._clock())
            return await self._control.delete_many(rs, victims[: min(-difference, BURST_REPLICAS)])
        return None

    def _related(self, rs: Object) -> list[Object]:
        """The active pods of every ReplicaSet with the same owner, by which crowded nodes are told."""
        owner = controller_uid(rs)
        family = self._sets.by_index(CONTROLLER, owner) if owner else [rs]
        pods = (pod for one in family for pod in self._pods.of(one))
        return [pod for pod in pods if is_active(pod)]


def replicaset_status(
    rs: Object, active: list[Object], terminating: int, error: ApiError | None, now: float
) -> tuple[dict[str, Any], float | None]:
    """The status that describes `active`, and the seconds until minReadySeconds will change it."""
    spec = rs["spec"]
    template_labels = ((spec["template"].get("metadata") or {}).get("labels") or {}).items()
    min_ready = spec.get("minReadySeconds", 0)
    waits = [available_in(pod, min_ready, now) for pod in active]
    status: dict[str, Any] = {"replicas": len(active)}
    counts = {
        "fullyLabeledReplicas": sum(
            1 for p in active if template_labels <= (p["metadata"].get("labels") or {}).items()
        ),
        "readyReplicas": sum(1 for pod in active if is_ready(pod)),
        "availableReplicas": sum(1 for wait in waits if wait == 0),
    }
    status.update((name, count) for name, count in counts.items() if count)
    if rs.get("kind") != REPLICATION_CONTROLLER.name:
        status["terminatingReplicas"] = terminating
    status["observedGeneration"] = rs["metadata"].get("generation", 0)
    conditions = _failure_conditions(rs, active, error, now)
    if conditions:
        status["conditions"] = conditions
    return status, min((wait for wait in waits if wait), default=None)


def _failure_conditions(rs: Object, active: list[Object], error: ApiError | None, now: float) -> list[dict[str, Any]]:
    present: list[dict[str, Any]] = (rs.get("status") or {}).get("conditions") or []
    failure = next((entry for entry in present if entry["type"] == "ReplicaFailure"), None)
    others = [entry for entry in present if entry is not failure]
    if error is None:
        return others
    if failure is not None:
        return present
    reason = "FailedCreate" if len(active) < rs["spec"].get("replicas", 1) else "FailedDelete"
    entry = {
        "type": "ReplicaFailure",
        "status": "True",
        "lastTransitionTime": timestamp(now),
        "reason": reason,
        "message": error.message,
    }
    return [*others, entry]
