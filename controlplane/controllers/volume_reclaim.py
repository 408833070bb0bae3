"""One step of one volume: its phase by its claimRef, and what becomes of it when its claim is gone.

volume -> Available, Bound -> Released: kept, or deleted with its data
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from controlplane.api import claims
from controlplane.api.errors import NotFound
from controlplane.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.controllers.meta import annotation, with_metadata
from controlplane.controllers.volume_provisioner import Provisioner, ProvisionFailure
from controlplane.controllers.volume_writer import VolumeWriter

RETRY_SECONDS = 1.0
"""How long after a volume could not be deleted it is tried again: mostly it is still attached."""


class VolumeSync:
    """Compares a volume with its claim, and takes the next step; `wake` asks for a step of a claim."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        provisioner: Provisioner,
        writer: VolumeWriter,
        wake: Callable[[ObjectKey], None],
    ) -> None:
        self._client = client
        self._provisioner = provisioner
        self._writer = writer
        self._wake = wake
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIM)
        self._volumes = informers.of(PERSISTENT_VOLUME)

    async def sync(self, name: str) -> float | None:
        """One step; seconds until it is tried again, if it is."""
        volume = self._volumes.get(name)
        if volume is None:
            return None
        reference = volume["spec"].get("claimRef") or {}
        if not reference.get("uid"):
            # It is free, or somebody keeps it for a claim of that name; the claim's sync completes it.
            await self._writer.write_phase(volume, "Available")
            return None
        claim = await self._claim_of(reference)
        if claim is None:
            return await self._release(volume)
        if claim["spec"].get("volumeName") == name:
            await self._writer.write_phase(volume, "Bound")
            return None
        if not claim["spec"].get("volumeName"):
            self._wake(key_of(claim))
            return None
        return await self._unbind(volume)

    async def _claim_of(self, reference: dict[str, Any]) -> Object | None:
        """The claim of a claimRef; None when it is gone, also where another has its name."""
        claim = self._claims.get(reference["name"], reference["namespace"])
        if claim is None or claim["metadata"]["uid"] != reference["uid"]:
            # The cache may be behind, and what follows deletes data.
            try:
                claim = await self._client.get(PERSISTENT_VOLUME_CLAIM, reference["name"], reference["namespace"])
            except NotFound:
                return None
        return claim if claim["metadata"]["uid"] == reference["uid"] else None

    async def _unbind(self, volume: Object) -> float | None:
        """The claim has taken another volume."""
        if annotation(volume, claims.PROVISIONED_BY) and volume["spec"]["persistentVolumeReclaimPolicy"] == "Delete":
            return await self._release(volume)
        spec = {field: value for field, value in volume["spec"].items() if field != "claimRef"}
        if annotation(volume, claims.BOUND_BY_CONTROLLER) is None:
            # It was kept for that claim by hand, and goes on to be.
            spec["claimRef"] = {
                k: v for k, v in volume["spec"]["claimRef"].items() if k in ("namespace", "name", "kind")
            }
        annotations = {
            k: v for k, v in (volume["metadata"].get("annotations") or {}).items() if k != claims.BOUND_BY_CONTROLLER
        }
        changed = with_metadata({**volume, "spec": spec}, annotations=annotations or None)
        await self._writer.write_phase(await self._client.update(PERSISTENT_VOLUME, changed), "Available")
        return None

    async def _release(self, volume: Object) -> float | None:
        if (volume.get("status") or {}).get("phase") == "Failed":
            return None
        return await self._reclaim(await self._writer.write_phase(volume, "Released"))

    async def _reclaim(self, volume: Object) -> float | None:
        if volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain":
            return None
        policy = volume["spec"]["persistentVolumeReclaimPolicy"]
        driver = annotation(volume, claims.PROVISIONED_BY)
        if policy == "Recycle":
            said = "No recycler plugin found for the volume!"
            await self._writer.write_phase(volume, "Failed", ("Warning", "VolumeFailedRecycle", said))
            return None
        if driver is None and claims.disk_of(volume["spec"]) is None:
            said = (
                "error getting deleter volume plugin for volume "
                f'"{volume["metadata"]["name"]}": no deletable volume plugin matched'
            )
            await self._writer.write_phase(volume, "Failed", ("Warning", "VolumeFailedDelete", said))
            return None
        if driver is not None and not self._provisioner.serves(driver):
            return None
        try:
            await self._provisioner.delete(volume)
        except ProvisionFailure as failure:
            self._writer.driver(driver or claims.DISK_DRIVER).event(
                volume, "Warning", "VolumeFailedDelete", str(failure)
            )
            return RETRY_SECONDS
        return None
