"""Rolls a Deployment's template out through ReplicaSets.

    Deployment, ReplicaSets (cache) → one step: create, scale up, scale down, clean up → status

It never touches pods; it writes sizes of ReplicaSets and reads their statuses. The numbers come
from `rollout`, the conditions from `deployment_status`; this module reads, writes and tells.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from controlplane.api.errors import AlreadyExists, ApiError, NotFound
from controlplane.api.kinds import DEPLOYMENT, POD, REPLICA_SET
from controlplane.api.selectors import compile_selector
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.deployment_replica_set import (
    new_annotations,
    new_replica_set,
    next_revision_of,
    size_annotations,
)
from controlplane.controllers.deployment_status import (
    TIMED_OUT,
    Condition,
    Status,
    basic_status,
    deadline_in,
    has_deadline,
    is_complete,
    new_condition,
    rollout_status,
    set_condition,
)
from controlplane.controllers.indexes import CONTROLLER, ORPHANS, index_owned
from controlplane.controllers.meta import (
    Clock,
    controller_of,
    is_deleting,
    selects_everything,
    with_metadata,
    with_status,
)
from controlplane.controllers.ownership import claim
from controlplane.controllers.pacing import Freshness, Throttle
from controlplane.controllers.pods import is_terminal
from controlplane.controllers.rollout import (
    REVISION,
    active,
    active_or_latest,
    expendable,
    find_new,
    is_rolling,
    is_saturated,
    is_scaling_event,
    new_replicas,
    old_scale_down,
    proportional,
    replicas,
    revision,
    same_template,
    strategy_type,
)

STATUS_INTERVAL_SECONDS = 0.02


class _Rollout:
    """One reconcile's view: the Deployment, its ReplicaSets as far as written, and what to report."""

    def __init__(self, deployment: Object, sets: Sequence[Object]) -> None:
        self.deployment = deployment
        self.new = find_new(deployment, sets)
        self.olds = [rs for rs in sets if rs is not self.new]
        self.conditions: list[Condition] = list((deployment.get("status") or {}).get("conditions") or [])

    @property
    def sets(self) -> list[Object]:
        return [*self.olds, self.new] if self.new is not None else list(self.olds)

    def replace(self, rs: Object) -> None:
        """Takes in what a write of one ReplicaSet returned."""
        uid = rs["metadata"]["uid"]
        if self.new is not None and self.new["metadata"]["uid"] == uid:
            self.new = rs
        else:
            self.olds = [rs if old["metadata"]["uid"] == uid else old for old in self.olds]

    def condition(self, type_: str) -> Condition | None:
        return next((entry for entry in self.conditions if entry["type"] == type_), None)


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
        self._freshness = Freshness()
        self._set_freshness = Freshness()
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
            self._freshness.gone(key_of(old))

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        rs = new or old
        assert rs is not None
        if new is None:
            self._set_freshness.gone(key_of(rs))
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
        if deployment is None or self._freshness.is_stale(key, deployment):
            return None
        selector = deployment["spec"].get("selector")
        if selects_everything(selector):
            message = "This deployment is selecting all pods. A non-empty selector is required."
            self._recorder.event(deployment, "Warning", "SelectingAll", message)
            return None
        uid = deployment["metadata"]["uid"]
        candidates = self._sets.by_index(CONTROLLER, uid) + self._sets.by_index(ORPHANS, namespace)
        sets = await claim(self._client, REPLICA_SET, deployment, candidates, compile_selector(selector))
        if any(self._set_freshness.is_stale(key_of(rs), rs) for rs in sets):
            return None
        rollout = _Rollout(deployment, sets)
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

    def _note_pause(self, rollout: _Rollout) -> None:
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

    async def _roll(self, rollout: _Rollout) -> float | None:
        await self._ensure_new(rollout)
        assert rollout.new is not None
        wanted = self._new_size(rollout)
        if wanted != replicas(rollout.new):
            await self._scale(rollout, rollout.new, wanted)
            return await self._report(rollout)
        sizes = old_scale_down(rollout.deployment, rollout.new, rollout.olds)
        for rs in list(rollout.olds):
            size = sizes.get(rs["metadata"]["name"])
            if size is not None:
                await self._scale(rollout, rs, size)
        if not sizes:
            await self._clean_up_when_complete(rollout)
        return await self._report(rollout)

    async def _recreate(self, rollout: _Rollout) -> float | None:
        if rollout.new is not None:
            await self._sync_new(rollout)
        running = active(rollout.olds)
        for rs in running:
            await self._scale(rollout, rs, 0)
        if running or self._old_pods_remain(rollout):
            return await self._report(rollout)
        await self._ensure_new(rollout)
        assert rollout.new is not None
        if replicas(rollout.new) != replicas(rollout.deployment):
            await self._scale(rollout, rollout.new, replicas(rollout.deployment))
        await self._clean_up_when_complete(rollout)
        return await self._report(rollout)

    async def _sync_scale(self, rollout: _Rollout) -> None:
        """What happens when paused or when only the size changed: no new template goes out."""
        deployment = rollout.deployment
        if rollout.new is not None:
            await self._sync_new(rollout)
        single = active_or_latest(rollout.new, rollout.olds)
        if single is not None:
            await self._scale(rollout, single, replicas(deployment))
        elif is_saturated(deployment, rollout.new):
            for rs in active(rollout.olds):
                await self._scale(rollout, rs, 0)
        elif is_rolling(deployment):
            for rs, size in proportional(deployment, active(rollout.sets)):
                await self._scale(rollout, rs, size)
        if deployment["spec"].get("paused"):
            await self._clean_up(rollout)
        await self._write_basic_status(rollout)

    def _new_size(self, rollout: _Rollout) -> int:
        assert rollout.new is not None
        if replicas(rollout.new) > replicas(rollout.deployment):
            return replicas(rollout.deployment)
        return new_replicas(rollout.deployment, rollout.sets, rollout.new)

    def _old_pods_remain(self, rollout: _Rollout) -> bool:
        pods = (pod for rs in rollout.olds for pod in self._pods.by_index(CONTROLLER, rs["metadata"]["uid"]))
        return any(not is_terminal(pod) for pod in pods)

    async def _ensure_new(self, rollout: _Rollout) -> None:
        if rollout.new is not None:
            await self._sync_new(rollout)
        else:
            await self._create_new(rollout)

    async def _sync_new(self, rollout: _Rollout) -> None:
        """Brings annotations, revision and minReadySeconds of the new ReplicaSet up to date."""
        new, deployment = rollout.new, rollout.deployment
        assert new is not None
        annotations = new_annotations(deployment, new, next_revision_of(rollout.olds))
        changes: dict[str, Any] = {}
        if annotations != (new["metadata"].get("annotations") or {}):
            changes["metadata"] = {**new["metadata"], "annotations": annotations}
        min_ready = deployment["spec"].get("minReadySeconds", 0)
        if new["spec"].get("minReadySeconds", 0) != min_ready:
            changes["spec"] = {**new["spec"], "minReadySeconds": min_ready}
        if changes:
            await self._write_set(rollout, {**new, **changes})
        if has_deadline(deployment) and rollout.condition("Progressing") is None:
            message = f'Found new replica set "{new["metadata"]["name"]}"'
            found = new_condition("Progressing", "True", "FoundNewReplicaSet", message, self._clock())
            rollout.conditions = set_condition(rollout.conditions, found)

    async def _create_new(self, rollout: _Rollout) -> None:
        deployment = rollout.deployment
        wanted = new_replica_set(deployment, next_revision_of(rollout.olds))
        rollout.new = wanted
        size = new_replicas(deployment, rollout.sets, wanted)
        wanted["spec"]["replicas"] = size
        try:
            created = await self._client.create(REPLICA_SET, wanted, deployment["metadata"]["namespace"])
        except AlreadyExists:
            created = await self._existing(rollout, wanted)
        except ApiError as error:
            await self._report_create_failure(rollout, error)
            raise
        else:
            if size > 0:
                self._tell_scaling(deployment, created, 0, size)
        self._set_freshness.wrote(created)
        rollout.new = created
        if has_deadline(deployment):
            message = f'Created new replica set "{created["metadata"]["name"]}"'
            told = new_condition("Progressing", "True", "NewReplicaSetCreated", message, self._clock())
            rollout.conditions = set_condition(rollout.conditions, told)

    async def _existing(self, rollout: _Rollout, wanted: Object) -> Object:
        """The ReplicaSet that bears the new one's name: ours, not in the cache yet, or a hash collision."""
        deployment = rollout.deployment
        metadata = wanted["metadata"]
        existing = await self._client.get(REPLICA_SET, metadata["name"], metadata["namespace"])
        owner = controller_of(existing)
        is_ours = owner is not None and owner["uid"] == deployment["metadata"]["uid"]
        if is_ours and same_template(existing["spec"]["template"], deployment["spec"]["template"]):
            return existing
        status = dict(deployment.get("status") or {})
        status["collisionCount"] = status.get("collisionCount", 0) + 1
        await self._client.update(DEPLOYMENT, with_status(deployment, status), subresource="status")
        raise AlreadyExists(f'replica set "{metadata["name"]}" exists with another template')

    async def _report_create_failure(self, rollout: _Rollout, error: ApiError) -> None:
        deployment, wanted = rollout.deployment, rollout.new
        assert wanted is not None
        rollout.new = None
        message = f'Failed to create new replica set "{wanted["metadata"]["name"]}": {error.message}'
        self._recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)
        if has_deadline(deployment):
            failed = new_condition("Progressing", "False", "ReplicaSetCreateError", message, self._clock())
            rollout.conditions = set_condition(rollout.conditions, failed)
            status = {**(deployment.get("status") or {}), "conditions": rollout.conditions}
            await self._write_status(rollout, status)

    async def _scale(self, rollout: _Rollout, rs: Object, size: int) -> None:
        """Sets the size of one ReplicaSet and notes the Deployment's size on it."""
        deployment = rollout.deployment
        before = replicas(rs)
        annotations = {**(rs["metadata"].get("annotations") or {}), **size_annotations(deployment)}
        if size == before and annotations == rs["metadata"].get("annotations"):
            return
        changed = with_metadata(rs, annotations=annotations)
        changed["spec"] = {**rs["spec"], "replicas": size}
        await self._write_set(rollout, changed)
        if size != before:
            self._tell_scaling(deployment, rs, before, size)

    async def _write_set(self, rollout: _Rollout, rs: Object) -> None:
        written = await self._client.update(REPLICA_SET, rs)
        self._set_freshness.wrote(written)
        rollout.replace(written)

    def _tell_scaling(self, deployment: Object, rs: Object, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {rs['metadata']['name']} from {before} to {after}"
        self._recorder.event(deployment, "Normal", "ScalingReplicaSet", message)

    async def _clean_up_when_complete(self, rollout: _Rollout) -> None:
        status = basic_status(rollout.deployment, rollout.sets, rollout.new, (), self._clock())
        if is_complete(rollout.deployment, status):
            await self._clean_up(rollout)

    async def _clean_up(self, rollout: _Rollout) -> None:
        """Deletes old, empty ReplicaSets beyond the revision history limit."""
        for rs in expendable(rollout.deployment, rollout.olds):
            metadata = rs["metadata"]
            try:
                await self._client.delete(REPLICA_SET, metadata["name"], metadata["namespace"], uid=metadata["uid"])
            except NotFound:
                continue

    async def _report(self, rollout: _Rollout) -> float | None:
        now = self._clock()
        status = rollout_status(rollout.deployment, rollout.sets, rollout.new, rollout.conditions, now)
        await self._write_status(rollout, status)
        return deadline_in(rollout.deployment, status, now)

    async def _write_basic_status(self, rollout: _Rollout) -> None:
        status = basic_status(rollout.deployment, rollout.sets, rollout.new, rollout.conditions, self._clock())
        await self._write_status(rollout, status)

    async def _write_status(self, rollout: _Rollout, status: Status) -> None:
        """Writes status and the revision annotation, which upstream too keeps in one write, if they differ."""
        deployment = rollout.deployment
        changed = deployment
        if rollout.new is not None:
            current = str(revision(rollout.new))
            annotations = deployment["metadata"].get("annotations") or {}
            if annotations.get(REVISION) != current:
                changed = with_metadata(deployment, annotations={**annotations, REVISION: current})
        if changed is deployment and status == deployment.get("status"):
            return
        written = await self._client.update(DEPLOYMENT, with_status(changed, status), subresource="status")
        self._freshness.wrote(written)
