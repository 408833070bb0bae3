"""The writes of a Deployment's rollout: its ReplicaSets, and its own status.

What to write is decided in `deployment`, and counted in `rollout`; here each write is made once, told, and remembered
until the caches show it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api.errors import AlreadyExists, ApiError, NotFound
from controlplane.api.kinds import DEPLOYMENT, REPLICA_SET
from controlplane.api.types import Object
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.controllers.deployment_replica_set import (
    new_annotations,
    new_replica_set,
    next_revision_of,
    size_annotations,
)
from controlplane.controllers.deployment_status import (
    Condition,
    Status,
    basic_status,
    has_deadline,
    is_complete,
    new_condition,
    set_condition,
)
from controlplane.controllers.meta import (
    Clock,
    controller_of,
    with_metadata,
    with_status,
)
from controlplane.controllers.pacing import Freshness
from controlplane.controllers.rollout import (
    REVISION,
    expendable,
    find_new,
    new_replicas,
    replicas,
    revision,
    same_template,
)


class Rollout:
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


class RolloutWriter:
    """`freshness` and `set_freshness` tell caches that are behind the last writes."""

    def __init__(self, client: Client, recorder: EventRecorder, clock: Clock) -> None:
        self.freshness = Freshness()
        self.set_freshness = Freshness()
        self._client = client
        self._recorder = recorder
        self._clock = clock

    async def ensure_new(self, rollout: Rollout) -> None:
        """Has a ReplicaSet with the Deployment's template."""
        if rollout.new is not None:
            await self.sync_new(rollout)
        else:
            await self._create_new(rollout)

    async def sync_new(self, rollout: Rollout) -> None:
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

    async def _create_new(self, rollout: Rollout) -> None:
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
        self.set_freshness.wrote(created)
        rollout.new = created
        if has_deadline(deployment):
            message = f'Created new replica set "{created["metadata"]["name"]}"'
            told = new_condition("Progressing", "True", "NewReplicaSetCreated", message, self._clock())
            rollout.conditions = set_condition(rollout.conditions, told)

    async def _existing(self, rollout: Rollout, wanted: Object) -> Object:
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

    async def _report_create_failure(self, rollout: Rollout, error: ApiError) -> None:
        deployment, wanted = rollout.deployment, rollout.new
        assert wanted is not None
        rollout.new = None
        message = f'Failed to create new replica set "{wanted["metadata"]["name"]}": {error.message}'
        self._recorder.event(deployment, "Warning", "ReplicaSetCreateError", message)
        if has_deadline(deployment):
            failed = new_condition("Progressing", "False", "ReplicaSetCreateError", message, self._clock())
            rollout.conditions = set_condition(rollout.conditions, failed)
            status = {**(deployment.get("status") or {}), "conditions": rollout.conditions}
            await self.write_status(rollout, status)

    async def scale(self, rollout: Rollout, rs: Object, size: int) -> None:
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

    async def _write_set(self, rollout: Rollout, rs: Object) -> None:
        written = await self._client.update(REPLICA_SET, rs)
        self.set_freshness.wrote(written)
        rollout.replace(written)

    def _tell_scaling(self, deployment: Object, rs: Object, before: int, after: int) -> None:
        direction = "up" if after > before else "down"
        message = f"Scaled {direction} replica set {rs['metadata']['name']} from {before} to {after}"
        self._recorder.event(deployment, "Normal", "ScalingReplicaSet", message)

    async def clean_up_when_complete(self, rollout: Rollout) -> None:
        """Deletes what is expendable once the rollout is over."""
        status = basic_status(rollout.deployment, rollout.sets, rollout.new, (), self._clock())
        if is_complete(rollout.deployment, status):
            await self.clean_up(rollout)

    async def clean_up(self, rollout: Rollout) -> None:
        """Deletes old, empty ReplicaSets beyond the revision history limit."""
        for rs in expendable(rollout.deployment, rollout.olds):
            metadata = rs["metadata"]
            try:
                await self._client.delete(REPLICA_SET, metadata["name"], metadata["namespace"], uid=metadata["uid"])
            except NotFound:
                continue

    async def write_status(self, rollout: Rollout, status: Status) -> None:
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
        self.freshness.wrote(written)
