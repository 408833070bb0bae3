"""Makes the claim of each generic ephemeral volume: named after pod and volume, owned by the pod, and gone with it."""

from __future__ import annotations

import asyncio

from controlplane.api import claims
from controlplane.api.errors import AlreadyExists, ApiError, NotFound
from controlplane.api.kinds import PERSISTENT_VOLUME_CLAIM, POD
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import controller_reference, is_deleting
from controlplane.controllers.pods import is_terminal


class EphemeralVolumes:
    """The ephemeral volume controller."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._pods = informers.of(POD)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIM)
        self._recorder = EventRecorder(client, "ephemeral_volume")
        self._reconciler: Reconciler[ObjectKey] = Reconciler("ephemeral-volumes", self._reconcile)
        self._pods.add_handler(self._pod_changed)
        self._claims.add_handler(self._claim_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._pods.wait_synced()
        await self._claims.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="ephemeral-events")
            group.create_task(self._reconciler.run(), name="ephemeral-volumes")

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and old is None and any("ephemeral" in one for one in new["spec"].get("volumes") or ()):
            self._reconciler.queue.add(key_of(new))

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is not None:
            return
        for owner in old["metadata"].get("ownerReferences") or ():
            if owner["kind"] == POD.name:
                self._reconciler.queue.add((old["metadata"]["namespace"], owner["name"]))

    async def _reconcile(self, key: ObjectKey) -> None:
        pod = self._pods.get(key[1], key[0])
        if pod is None or is_deleting(pod) or is_terminal(pod):
            return
        for volume in pod["spec"].get("volumes") or ():
            if "ephemeral" in volume:
                await self._ensure(pod, volume)

    async def _ensure(self, pod: Object, volume: Object) -> None:
        namespace, name = pod["metadata"]["namespace"], claims.claim_name(pod, volume) or ""
        present = self._claims.get(name, namespace)
        if present is None:
            try:
                await self._client.create(PERSISTENT_VOLUME_CLAIM, _claim(pod, volume, name), namespace)
            except AlreadyExists:
                present = await self._client.get(PERSISTENT_VOLUME_CLAIM, name, namespace)
            except NotFound:
                return
            except ApiError as error:
                self._fail(pod, volume, error.message)
                raise
        if present is not None and not claims.is_made_for(pod, present):
            said = f"PVC {namespace}/{name} was not created for pod {namespace}/{pod['metadata']['name']}"
            self._fail(pod, volume, f"{said} (pod is not owner)")

    def _fail(self, pod: Object, volume: Object, said: str) -> None:
        self._recorder.event(pod, "Warning", "FailedBinding", f"ephemeral volume {volume['name']}: {said}")


def _claim(pod: Object, volume: Object, name: str) -> Object:
    template = volume["ephemeral"].get("volumeClaimTemplate") or {}
    given = template.get("metadata") or {}
    return {
        "apiVersion": PERSISTENT_VOLUME_CLAIM.api_version,
        "kind": PERSISTENT_VOLUME_CLAIM.name,
        "metadata": {
            "name": name,
            "namespace": pod["metadata"]["namespace"],
            **{field: given[field] for field in ("annotations", "labels") if given.get(field)},
            "ownerReferences": [controller_reference(pod)],
        },
        "spec": template.get("spec") or {},
    }
