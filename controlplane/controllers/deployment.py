"""Rolls a Deployment's template out through ReplicaSets.

    Deployment, ReplicaSets (cache) → one step: create, scale up, scale down, clean up → status

It never touches pods; it writes sizes of ReplicaSets and reads their statuses. The numbers come
from `rollout`, the conditions from `deployment_status`; this module reads, and `deployment_writer` writes and tells.
"""

from __future__ import annotations

import asyncio
import time

from controlplane.api.kinds import DEPLOYMENT, POD, REPLICA_SET
from controlplane.api.selectors import compile_selector
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.deployment_status import (
    TIMED_OUT,
    basic_status,
    deadline_in,
    has_deadline,
    new_condition,
    rollout_status,
    set_condition,
)
from controlplane.controllers.deployment_writer import Rollout, RolloutWriter
from controlplane.controllers.indexes import CONTROLLER, ORPHANS, index_owned
from controlplane.controllers.meta import (
    Clock,
    controller_of,
    is_deleting,
    selects_everything,
)
from controlplane.controllers.ownership import claim
from controlplane.controllers.pacing import Throttle
from controlplane.controllers.pods import is_terminal
from controlplane.controllers.rollout import (
    active,
    active_or_latest,
    is_rolling,
    is_saturated,
    is_scaling_event,
    new_replicas,
    old_scale_down,
    proportional,
    replicas,
    strategy_type,
)

STATUS_INTERVAL_SECONDS = 0.02


class DeploymentController:
    """Reconciles Deployments; `clock` gives the present time for progressDeadlineSeconds."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._deployments = informers.of(DEPLOYMENT)
        self._sets = informers.of(REPLICA_SET)
        self._pods = informers.of(POD)
        index_owned(self._sets)
        index_owned(self._pods)
        self._recorder = EventRecorder(client, "deployment-controller")
        self._reconciler: Reconciler[ObjectKey] = Reconciler("deployment", self._reconcile, workers=8)
        self._throttle = Throttle(self._reconciler.queue, STATUS_INTERVAL_SECONDS)
        self._writer = RolloutWriter(client, self._recorder, clock)
        self._deployments.add_handler(self._deployment_changed)
        self._sets.add_handler(self._set_changed)
        self._pods.add_handler(self._pod_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (self._deployments, self._sets, self._pods):
            await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="deployment-events")
            group.create_task(self._reconciler.run(), name="deployment")

    def _deployment_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._reconciler.queue.add(key_of(new))
        elif old is not None:
            self._writer.freshness.gone(key_of(old))

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        rs = new or old
        assert rs is not None
        if new is None:
            self._writer.set_freshness.gone(key_of(rs))
        owner = controller_of(rs)
        namespace = rs["metadata"]["namespace"]
        if owner is None:
            labels = rs["metadata"].get("labels") or {}
            for deployment in self._deployments.list(namespace):
                if compile_selector(deployment["spec"].get("selector"))(labels):
                    self._throttle.add(key_of(deployment))
        elif owner["kind"] == DEPLOYMENT.name:
            self._throttle.add((namespace, owner["name"]))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """Recreate waits for the old pods to be gone; nothing else here depends on pods."""
        if old is None or (new is not None and not is_terminal(new)):
            return
        owner = controller_of(old)
        if owner is None or owner["kind"] != REPLICA_SET.name:
            return
        rs = self._sets.get(owner["name"], old["metadata"]["namespace"])
        parent = controller_of(rs) if rs is not None else None
        if parent is not None and parent["kind"] == DEPLOYMENT.name:
            key = (old["metadata"]["namespace"], parent["name"])
            deployment = self._deployments.get(key[1], key[0])
            if deployment is not None and not is_rolling(deployment):
                self._throttle.add(key)

    async def _reconcile(self, key: ObjectKey) -> float | None:
        namespace, name = key
        deployment = self._deployments.get(name, namespace)
        if deployment is None or self._writer.freshness.is_stale(key, deployment):
            return None
        selector = deployment["spec"].get("selector")
        if selects_everything(selector):
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self._recorder.event(deployment, "Warning", "SelectingAll", message)
            return None
        uid = deployment["metadata"]["uid"]
        candidates = self._sets.by_index(CONTROLLER, uid) + self._sets.by_index(ORPHANS, namespace)
        sets = await claim(self._client, REPLICA_SET, deployment, candidates, compile_selector(selector))
        if any(self._writer.set_freshness.is_stale(key_of(rs), rs) for rs in sets):
            return None
        rollout = Rollout(deployment, sets)
        if is_deleting(deployment):
            await self._write_basic_status(rollout)
            return None
        self._note_pause(rollout)
        if deployment["spec"].get("paused") or is_scaling_event(deployment, sets):
            await self._sync_scale(rollout)
            return None
        if strategy_type(deployment) == "Recreate":
            return await self._recreate(rollout)
        return await self._roll(rollout)

    def _note_pause(self, rollout: Rollout) -> None:
        """Tells a pause or its end, so that the time paused does not count against the deadline."""
        progressing = rollout.condition("Progressing")
        reason = progressing.get("reason") if progressing is not None else None
        if not has_deadline(rollout.deployment) or reason == TIMED_OUT:
            return
        is_paused = bool(rollout.deployment["spec"].get("paused"))
        if is_paused == (reason == "DeploymentPaused"):
            return
        word = "Paused" if is_paused else "Resumed"
        told = new_condition(
            "Progressing", "Unknown", f"Deployment{word}", f"Deployment is {word.lower()}", self._clock()
        )
        rollout.conditions = set_condition(rollout.conditions, told)

    async def _roll(self, rollout: Rollout) -> float | None:
        await self._writer.ensure_new(rollout)
        assert rollout.new is not None
        wanted = self._new_size(rollout)
        if wanted != replicas(rollout.new):
            await self._writer.scale(rollout, rollout.new, wanted)
            return await self._report(rollout)
        sizes = old_scale_down(rollout.deployment, rollout.new, rollout.olds)
        for rs in list(rollout.olds):
            size = sizes.get(rs["metadata"]["name"])
            if size is not None:
                await self._writer.scale(rollout, rs, size)
        if not sizes:
            await self._writer.clean_up_when_complete(rollout)
        return await self._report(rollout)

    async def _recreate(self, rollout: Rollout) -> float | None:
        if rollout.new is not None:
            await self._writer.sync_new(rollout)
        running = active(rollout.olds)
        for rs in running:
            await self._writer.scale(rollout, rs, 0)
        if running or self._old_pods_remain(rollout):
            return await self._report(rollout)
        await self._writer.ensure_new(rollout)
        assert rollout.new is not None
        if replicas(rollout.new) != replicas(rollout.deployment):
            await self._writer.scale(rollout, rollout.new, replicas(rollout.deployment))
        await self._writer.clean_up_when_complete(rollout)
        return await self._report(rollout)

    async def _sync_scale(self, rollout: Rollout) -> None:
        """What happens when paused or when only the size changed: no new template goes out."""
        deployment = rollout.deployment
        if rollout.new is not None:
            await self._writer.sync_new(rollout)
        single = active_or_latest(rollout.new, rollout.olds)
        if single is not None:
            await self._writer.scale(rollout, single, replicas(deployment))
        elif is_saturated(deployment, rollout.new):
            for rs in active(rollout.olds):
                await self._writer.scale(rollout, rs, 0)
        elif is_rolling(deployment):
            for rs, size in proportional(deployment, active(rollout.sets)):
                await self._writer.scale(rollout, rs, size)
        if deployment["spec"].get("paused"):
            await self._writer.clean_up(rollout)
        await self._write_basic_status(rollout)

    def _new_size(self, rollout: Rollout) -> int:
        assert rollout.new is not None
        if replicas(rollout.new) > replicas(rollout.deployment):
            return replicas(rollout.deployment)
        return new_replicas(rollout.deployment, rollout.sets, rollout.new)

    def _old_pods_remain(self, rollout: Rollout) -> bool:
        pods = (pod for rs in rollout.olds for pod in self._pods.by_index(CONTROLLER, rs["metadata"]["uid"]))
        return any(not is_terminal(pod) for pod in pods)

    async def _report(self, rollout: Rollout) -> float | None:
        now = self._clock()
        status = rollout_status(rollout.deployment, rollout.sets, rollout.new, rollout.conditions, now)
        await self._writer.write_status(rollout, status)
        return deadline_in(rollout.deployment, status, now)

    async def _write_basic_status(self, rollout: Rollout) -> None:
        status = basic_status(rollout.deployment, rollout.sets, rollout.new, rollout.conditions, self._clock())
        await self._writer.write_status(rollout, status)
