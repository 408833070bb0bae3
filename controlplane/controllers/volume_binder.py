"""The PersistentVolume controller: binds claims and volumes to each other, and sees to volumes whose claim is gone.

What changes is told here, and asks for a step of a claim (`volume_claims`) or of a volume (`volume_reclaim`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from controlplane.api import claims
from controlplane.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from controlplane.api.printing.storage import is_default_class
from controlplane.api.types import Object
from controlplane.api.volume_matching import is_free
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.volume_claims import ClaimSync
from controlplane.controllers.volume_provisioner import Provisioner
from controlplane.controllers.volume_reclaim import VolumeSync
from controlplane.controllers.volume_writer import VolumeWriter

_PENDING = "pending"
"""The name of an index: claims without a volume."""


class VolumeBinder:
    """Watches claims, volumes, classes and pods."""

    def __init__(self, client: Client, informers: Informers, provisioner: Provisioner) -> None:
        self._provisioner = provisioner
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIM)
        self._volumes = informers.of(PERSISTENT_VOLUME)
        self._classes = informers.of(STORAGE_CLASS)
        self._pods = informers.of(POD)
        self._claims.add_index(_PENDING, _pending_class)
        self._writer = VolumeWriter(client)
        self._claim_sync = ClaimSync(client, informers, provisioner, self._writer)
        self._claim_work: Reconciler[ObjectKey] = Reconciler("claim-binder", self._claim_sync.sync)
        volume_sync = VolumeSync(client, informers, provisioner, self._writer, self._claim_work.queue.add)
        self._volume_work: Reconciler[str] = Reconciler("volume-binder", volume_sync.sync)
        self._claims.add_handler(self._claim_changed)
        self._volumes.add_handler(self._volume_changed)
        self._classes.add_handler(self._class_changed)
        self._pods.add_handler(self._pod_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (self._claims, self._volumes, self._classes, self._pods):
            await informer.wait_synced()
        await self._provisioner.sweep(self._volumes.list(), self._claims.list())
        async with asyncio.TaskGroup() as group:
            group.create_task(self._writer.run(), name="volume-events")
            group.create_task(self._claim_work.run(), name="claim-binder")
            group.create_task(self._volume_work.run(), name="volume-binder")

    def _claim_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._claim_work.queue.add(key_of(new))
        for claim in (old, new):
            if claim is not None and claim["spec"].get("volumeName"):
                self._volume_work.queue.add(claim["spec"]["volumeName"])
        if new is None and old is not None:
            self._volume_work.queue.add(f"pvc-{old['metadata']['uid']}")

    def _volume_changed(self, old: Object | None, new: Object | None) -> None:
        volume = new or old
        assert volume is not None
        if new is not None:
            self._volume_work.queue.add(new["metadata"]["name"])
        reference = volume["spec"].get("claimRef")
        if reference:
            self._claim_work.queue.add((reference.get("namespace", ""), reference.get("name", "")))
        elif new is not None and is_free(new):
            self._wake(claims.class_of(new) or "")
        for claim in self._claims.by_index(_PENDING, f"={volume['metadata']['name']}"):
            self._claim_work.queue.add(key_of(claim))

    def _class_changed(self, _old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._wake(new["metadata"]["name"])
            if is_default_class(new):
                self._wake("")

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """Has claims that wait for a pod say for which."""
        if old is not None or new is None or new["spec"].get("nodeName"):
            return
        for name in claims.claims_of(new):
            claim = self._claims.get(name, new["metadata"]["namespace"])
            if claim is not None and not claims.is_bound(claim) and self._claim_sync.is_delayed(claim):
                self._claim_work.queue.add(key_of(claim))

    def _wake(self, storage_class: str) -> None:
        for claim in self._claims.by_index(_PENDING, storage_class):
            self._claim_work.queue.add(key_of(claim))


def _pending_class(claim: Object) -> Iterable[str]:
    """Unbound claims by their class, and those that ask for a volume by name by "=" and that name."""
    if claims.is_bound(claim):
        return ()
    name = claim["spec"].get("volumeName")
    return (f"={name}",) if name else (claims.class_of(claim) or "",)
