"""Grows the volume of a claim that asks for more than it has, as the driver's resizer does.

The volume first, then its object, then the claim: a file system grows where it is mounted, which is the node's part,
and until then the claim has the condition FileSystemResizePending.
"""

from __future__ import annotations

import asyncio
import time

from controlplane.api import claims
from controlplane.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.api.volume_matching import mode_of
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import Clock, annotation, with_status
from controlplane.controllers.volume_provisioner import Provisioner, ProvisionFailure

RETRY_SECONDS = 10.0
RESIZING, PENDING = "Resizing", "FileSystemResizePending"
_WAITS = "Waiting for user to (re-)start a pod to finish file system resize of volume on node."


class VolumeExpansion:
    """The resizer for the volumes that `provisioner` makes."""

    def __init__(
        self, client: Client, informers: Informers, provisioner: Provisioner, *, clock: Clock = time.time
    ) -> None:
        self._client = client
        self._provisioner = provisioner
        self._clock = clock
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIM)
        self._volumes = informers.of(PERSISTENT_VOLUME)
        self._recorder = EventRecorder(client, "external-resizer")
        self._reconciler: Reconciler[ObjectKey] = Reconciler("volume-expansion", self._reconcile, workers=1)
        self._claims.add_handler(self._claim_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._claims.wait_synced()
        await self._volumes.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="expansion-events")
            group.create_task(self._reconciler.run(), name="volume-expansion")

    def _claim_changed(self, _old: Object | None, new: Object | None) -> None:
        if new is not None and claims.is_bound(new) and claims.requested(new) > _has(new):
            self._reconciler.queue.add(key_of(new))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        claim = self._claims.get(key[1], key[0])
        if claim is None or not claims.is_bound(claim) or (claim.get("status") or {}).get("phase") != "Bound":
            return None
        volume = self._volumes.get(claim["spec"]["volumeName"])
        wanted = claims.requested(claim)
        if volume is None or wanted <= _has(claim):
            return None
        if claims.capacity(volume) < wanted:
            driver = annotation(volume, claims.PROVISIONED_BY)
            if driver is None or not self._provisioner.serves(driver):
                return None
            grown = await self._grow(claim, volume, wanted)
            if grown is None:
                return RETRY_SECONDS
            volume = grown
        await self._note(claim, volume)
        return None

    async def _grow(self, claim: Object, volume: Object, wanted: int) -> Object | None:
        name = volume["metadata"]["name"]
        self._recorder.event(claim, "Normal", RESIZING, f"External resizer is resizing volume {name}")
        try:
            size = await self._provisioner.grow(volume, wanted)
        except ProvisionFailure as failure:
            said = f'resize volume "{name}" by resizer "{claims.DISK_DRIVER}" failed: {failure}'
            self._recorder.event(claim, "Warning", "VolumeResizeFailed", said)
            return None
        body = {"metadata": {"uid": volume["metadata"]["uid"]}, "spec": {"capacity": {"storage": size}}}
        return await self._client.patch(PERSISTENT_VOLUME, name, body=body)

    async def _note(self, claim: Object, volume: Object) -> None:
        """Has the claim say that it has the size, or that the node has yet to do its part."""
        status = claim.get("status") or {}
        if mode_of(volume) == "Block":
            size = {**(status.get("capacity") or {}), "storage": volume["spec"]["capacity"]["storage"]}
            await self._write(claim, {**status, "capacity": size})
            said = "Resize volume succeeded"
            self._recorder.event(claim, "Normal", "VolumeResizeSuccessful", said)
            return
        conditions = [one for one in status.get("conditions") or () if one["type"] not in (RESIZING, PENDING)]
        if any(one["type"] == PENDING for one in status.get("conditions") or ()):
            return
        pending = {
            "type": PENDING,
            "status": "True",
            "lastTransitionTime": timestamp(self._clock()),
            "message": _WAITS,
        }
        await self._write(claim, {**status, "conditions": [*conditions, pending]})
        said = "Require file system resize of volume on node"
        self._recorder.event(claim, "Normal", "FileSystemResizeRequired", said)

    async def _write(self, claim: Object, status: Object) -> None:
        await self._client.update(PERSISTENT_VOLUME_CLAIM, with_status(claim, status), subresource="status")


def _has(claim: Object) -> int:
    return claims.capacity({"spec": {}, "status": claim.get("status")})
