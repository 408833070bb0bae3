"""Keeps a claim that a pod uses, and a volume that a claim is bound to, until they are no longer used.

Admission gives both a finalizer; here it is taken away, once the object is on its way out and nobody needs it.
"""

from __future__ import annotations

import asyncio

from controlplane.api import claims
from controlplane.api.errors import NotFound
from controlplane.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import is_deleting, with_metadata
from controlplane.controllers.pods import is_terminal

CLAIM_FINALIZER, VOLUME_FINALIZER = "kubernetes.io/pvc-protection", "kubernetes.io/pv-protection"


class VolumeProtection:
    """The pvc-protection and the pv-protection controller."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._pods = informers.of(POD)
        self._pods.add_index(claims.BY_CLAIM, claims.by_claim)
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIM)
        self._volumes = informers.of(PERSISTENT_VOLUME)
        self._claim_work: Reconciler[ObjectKey] = Reconciler("pvc-protection", self._check_claim, workers=1)
        self._volume_work: Reconciler[str] = Reconciler("pv-protection", self._check_volume, workers=1)
        self._claims.add_handler(self._claim_changed)
        self._volumes.add_handler(self._volume_changed)
        self._pods.add_handler(self._pod_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (self._pods, self._claims, self._volumes):
            await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._claim_work.run(), name="pvc-protection")
            group.create_task(self._volume_work.run(), name="pv-protection")

    def _claim_changed(self, _old: Object | None, new: Object | None) -> None:
        if new is not None and is_deleting(new):
            self._claim_work.queue.add(key_of(new))

    def _volume_changed(self, _old: Object | None, new: Object | None) -> None:
        if new is not None and is_deleting(new):
            self._volume_work.queue.add(new["metadata"]["name"])

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        if pod is None or not (new is None or is_terminal(new)):
            return
        namespace = pod["metadata"]["namespace"]
        for name in claims.claims_of(pod):
            claim = self._claims.get(name, namespace)
            if claim is not None and is_deleting(claim):
                self._claim_work.queue.add((namespace, name))

    async def _check_claim(self, key: ObjectKey) -> None:
        claim = self._claims.get(key[1], key[0])
        if claim is None or not is_deleting(claim):
            return
        pods = self._pods.by_index(claims.BY_CLAIM, claims.index_key(claim))
        if not any(_uses(pod) for pod in pods):
            await self._let_go(PERSISTENT_VOLUME_CLAIM, claim, CLAIM_FINALIZER)

    async def _check_volume(self, name: str) -> None:
        volume = self._volumes.get(name)
        if volume is None or not is_deleting(volume):
            return
        if (volume.get("status") or {}).get("phase") != "Bound":
            await self._let_go(PERSISTENT_VOLUME, volume, VOLUME_FINALIZER)

    async def _let_go(self, kind: Kind, obj: Object, finalizer: str) -> None:
        before = obj["metadata"].get("finalizers") or []
        if finalizer not in before:
            return
        left = [one for one in before if one != finalizer]
        try:
            await self._client.update(kind, with_metadata(obj, finalizers=left or None))
        except NotFound:
            return


def _uses(pod: Object) -> bool:
    """Whether a pod may have its claims mounted: it has a node, and has not ended."""
    return bool(pod["spec"].get("nodeName")) and not is_terminal(pod)
