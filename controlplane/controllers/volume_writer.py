"""Writes claims and volumes, and says why: what binding and reclaiming have in common.

The order of the writes is upstream's: a kill between two of them leaves a pair that the next sync completes. Events and
their words are upstream's too.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from controlplane.api import claims
from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from controlplane.api.types import Object
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.controllers.meta import with_metadata

Said = tuple[Literal["Normal", "Warning"], str, str]
"""Type, reason and message of an event."""


class VolumeWriter:
    """Writes for the PersistentVolume controller; `run` writes its events."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._recorder = EventRecorder(client, "persistentvolume-controller")
        self._drivers = {name: EventRecorder(client, name) for name in (claims.DISK_DRIVER, claims.NFS_PROVISIONER)}

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="volume-events")
            for driver in self._drivers.values():
                group.create_task(driver.run(), name="driver-events")

    def tell(self, obj: Object, event: Said) -> None:
        """Records an event about a claim or a volume."""
        kind, reason, said = event
        self._recorder.event(obj, kind, reason, said)

    def driver(self, provisioner: str) -> EventRecorder:
        """Who says what becomes of a provisioner's volumes: the old name of GCE's disks is its driver's too."""
        return self._drivers.get(provisioner, self._drivers[claims.DISK_DRIVER])

    async def bind(self, volume: Object, claim: Object, *, provisioner: str = "") -> None:
        """Has a volume and a claim name each other, and both be Bound; `provisioner` made the volume for the claim."""
        volume = await self._bind_volume(volume, claim)
        claim = await self._bind_claim(volume, claim, provisioner)
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"].get("accessModes"),
            "capacity": _claimed_capacity(volume, claim),
        }
        await self._write_claim_status(claim, status)

    async def _bind_volume(self, volume: Object, claim: Object) -> Object:
        reference = volume["spec"].get("claimRef") or {}
        if reference.get("uid") != claim["metadata"]["uid"]:
            marks = {} if reference else {claims.BOUND_BY_CONTROLLER: "yes"}
            annotations = {**(volume["metadata"].get("annotations") or {}), **marks}
            spec = {**volume["spec"], "claimRef": claims.claim_reference(claim)}
            changed = with_metadata({**volume, "spec": spec}, annotations=annotations or None)
            volume = await self._client.update(PERSISTENT_VOLUME, changed)
        return await self.write_phase(volume, "Bound")

    async def _bind_claim(self, volume: Object, claim: Object, provisioner: str) -> Object:
        name = volume["metadata"]["name"]
        before = claim["metadata"].get("annotations") or {}
        annotations = {**before, claims.BIND_COMPLETED: "yes"}
        if provisioner:
            annotations |= {claims.PROVISIONER: provisioner}
            annotations |= {claims.PROVISIONER.replace("volume.", "volume.beta.", 1): provisioner}
        if claim["spec"].get("volumeName") == name and annotations == before:
            return claim
        if claim["spec"].get("volumeName") != name:
            annotations[claims.BOUND_BY_CONTROLLER] = "yes"
        spec = {**claim["spec"], "volumeName": name}
        changed = with_metadata({**claim, "spec": spec}, annotations=annotations)
        return await self._client.update(PERSISTENT_VOLUME_CLAIM, changed)

    async def write_phase(self, volume: Object, phase: str, event: Said | None = None) -> Object:
        """Writes the phase of a volume, if it is another, and says why; the volume as it is then."""
        status = volume.get("status") or {}
        if status.get("phase") == phase:
            return volume
        said = {"message": event[2]} if event else {}
        kept = {field: value for field, value in status.items() if field not in ("message", "reason")}
        written = await self._client.update(
            PERSISTENT_VOLUME, {**volume, "status": {**kept, "phase": phase, **said}}, subresource="status"
        )
        if event is not None:
            self.tell(volume, event)
        return written

    async def stay_pending(self, claim: Object, event: Said | None = None) -> None:
        """Notes that a claim waits, and says for what."""
        if event is not None:
            self.tell(claim, event)
        await self._write_claim_status(claim, {"phase": "Pending"})

    async def lose(self, claim: Object, reason: str, said: str) -> None:
        """Notes that a claim has lost its volume."""
        if (claim.get("status") or {}).get("phase") != "Lost":
            self.tell(claim, ("Warning", reason, said))
        await self._write_claim_status(claim, {"phase": "Lost"})

    async def patch_claim(self, claim: Object, body: dict[str, Any]) -> None:
        """Changes a claim, unless it is another's by now; `body` has its metadata."""
        metadata = claim["metadata"]
        body["metadata"]["uid"] = metadata["uid"]
        try:
            await self._client.patch(PERSISTENT_VOLUME_CLAIM, metadata["name"], metadata["namespace"], body=body)
        except (NotFound, Conflict):
            return

    async def _write_claim_status(self, claim: Object, status: dict[str, Any]) -> None:
        before = claim.get("status") or {}
        kept = {field: value for field, value in before.items() if field not in ("accessModes", "capacity", "phase")}
        wanted = {**kept, **status}
        if wanted == before:
            return
        try:
            await self._client.update(PERSISTENT_VOLUME_CLAIM, {**claim, "status": wanted}, subresource="status")
        except NotFound:
            return


def _claimed_capacity(volume: Object, claim: Object) -> dict[str, Any]:
    """What the claim says it has: after it was bound, only the resizer and the node change that."""
    status = claim.get("status") or {}
    if status.get("phase") == "Bound" and status.get("capacity"):
        return dict(status["capacity"])
    return dict(volume["spec"].get("capacity") or {})
