"""Binds claims and volumes to each other, and sees to volumes whose claim is gone.

    claim, unbound  -> a volume that suits -> volume.claimRef -> claim.volumeName -> both Bound
                    -> else its class makes one (volume_provisioner), at once or when a pod has a node
    volume          -> phase by its claimRef -> Released: kept, or deleted with its data

The order of the writes is upstream's: a kill between two of them leaves a pair that the next sync completes. Events and
their words are upstream's too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Literal

from controlplane.api import claims
from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from controlplane.api.printing.storage import is_default_class
from controlplane.api.types import Object
from controlplane.api.volume_matching import best, is_free, mismatch, names_claim
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import annotation, is_deleting, with_metadata
from controlplane.controllers.volume_provisioner import Provisioner, ProvisionFailure
from controlplane.server.admission.storage import newest_default

DELAYED = "WaitForFirstConsumer"
RETRY_SECONDS = 15.0
"""How long after a volume could not be made or deleted it is tried again, as upstream's resync."""
_PENDING, _NAMED, _FREE = "pending", "named", "free"
"""Names of indexes: claims without a volume, volumes by the claim that they name, and those that name none."""
_LOST_REFERENCE = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
_LOST_VOLUME = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
Said = tuple[Literal["Normal", "Warning"], str, str]
"""Type, reason and message of an event."""
_NO_CLASS = "no persistent volumes available for this claim and no storage class is set"


class VolumeBinder:
    """The PersistentVolume controller."""

    def __init__(self, client: Client, informers: Informers, provisioner: Provisioner) -> None:
        self._client = client
        self._provisioner = provisioner
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIM)
        self._volumes = informers.of(PERSISTENT_VOLUME)
        self._classes = informers.of(STORAGE_CLASS)
        self._pods = informers.of(POD)
        self._pods.add_index(claims.BY_CLAIM, claims.by_claim)
        self._claims.add_index(_PENDING, _pending_class)
        self._volumes.add_index(_NAMED, _named_claim)
        self._volumes.add_index(_FREE, _free_class)
        self._recorder = EventRecorder(client, "persistentvolume-controller")
        self._drivers = {name: EventRecorder(client, name) for name in (claims.DISK_DRIVER, claims.NFS_PROVISIONER)}
        self._claim_work: Reconciler[ObjectKey] = Reconciler("claim-binder", self._sync_claim)
        self._volume_work: Reconciler[str] = Reconciler("volume-binder", self._sync_volume)
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
            group.create_task(self._recorder.run(), name="volume-events")
            for driver in self._drivers.values():
                group.create_task(driver.run(), name="driver-events")
            group.create_task(self._claim_work.run(), name="claim-binder")
            group.create_task(self._volume_work.run(), name="volume-binder")

    # What is told.

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
            if claim is not None and not claims.is_bound(claim) and self._is_delayed(claim):
                self._claim_work.queue.add(key_of(claim))

    def _is_delayed(self, claim: Object) -> bool:
        storage_class = self._classes.get(claims.class_of(claim) or "")
        return storage_class is not None and storage_class.get("volumeBindingMode") == DELAYED

    def _wake(self, storage_class: str) -> None:
        for claim in self._claims.by_index(_PENDING, storage_class):
            self._claim_work.queue.add(key_of(claim))

    # Claims.

    async def _sync_claim(self, key: ObjectKey) -> float | None:
        claim = self._claims.get(key[1], key[0])
        if claim is None:
            return None
        if annotation(claim, claims.BIND_COMPLETED) is not None:
            await self._sync_bound(claim)
            return None
        if is_deleting(claim):
            return None
        if claim["spec"].get("volumeName"):
            await self._sync_named(claim)
            return None
        return await self._sync_unbound(claim)

    async def _sync_bound(self, claim: Object) -> None:
        name = claim["spec"].get("volumeName")
        if not name:
            await self._lose(claim, "ClaimLost", _LOST_REFERENCE)
            return
        volume = self._volumes.get(name) or await self._get_volume(name)
        if volume is None:
            await self._lose(claim, "ClaimLost", _LOST_VOLUME)
        elif not volume["spec"].get("claimRef") or names_claim(volume, claim):
            await self._bind(volume, claim)
        else:
            said = "Two claims are bound to the same volume, this one is bound incorrectly"
            await self._lose(claim, "ClaimMisbound", said)

    async def _lose(self, claim: Object, reason: str, said: str) -> None:
        if (claim.get("status") or {}).get("phase") != "Lost":
            self._tell(claim, "Warning", reason, said)
        await self._write_claim_status(claim, {"phase": "Lost"})

    async def _sync_named(self, claim: Object) -> None:
        """A claim whose volume somebody wrote into it."""
        name = claim["spec"]["volumeName"]
        volume = self._volumes.get(name)
        if volume is None:
            await self._stay_pending(claim)
            return
        if not volume["spec"].get("claimRef") or names_claim(volume, claim):
            reason = mismatch(volume, claim)
            if reason:
                said = f'Cannot bind to requested volume "{name}": {reason}'
                await self._stay_pending(claim, ("Warning", "VolumeMismatch", said))
            elif not is_deleting(volume):
                await self._bind(volume, claim)
            return
        said = f'volume "{name}" already bound to a different claim.'
        await self._stay_pending(claim, ("Warning", "FailedBinding", said))

    async def _sync_unbound(self, claim: Object) -> float | None:
        storage_class = self._classes.get(claims.class_of(claim) or "")
        delayed = self._is_delayed(claim)
        chosen = annotation(claim, claims.SELECTED_NODE)
        volume = best(claim, self._candidates(claim), delayed=delayed)
        if volume is not None:
            await self._bind(volume, claim)
            return None
        if delayed and chosen is None:
            await self._stay_pending(claim, self._waits_for_pod(claim))
            return None
        if not claims.class_of(claim):
            if not await self._give_default_class(claim):
                await self._stay_pending(claim, ("Normal", "FailedBinding", _NO_CLASS))
            return None
        if storage_class is None:
            said = f'storageclass.storage.k8s.io "{claims.class_of(claim)}" not found'
            await self._stay_pending(claim, ("Warning", "ProvisioningFailed", said))
            return None
        return await self._provision(claim, storage_class)

    async def _give_default_class(self, claim: Object) -> bool:
        """Gives a claim that was made before there was a default class the one there is now; False if there is none."""
        if claims.class_of(claim) is not None:
            return False
        chosen = newest_default([one for one in self._classes.list() if is_default_class(one)])
        if chosen is None:
            return False
        await self._patch_claim(claim, {"metadata": {}, "spec": {"storageClassName": chosen["metadata"]["name"]}})
        return True

    def _candidates(self, claim: Object) -> list[Object]:
        """The volumes that name a claim, and those of its class that are free."""
        free = self._volumes.by_index(_FREE, claims.class_of(claim) or "")
        return [*self._volumes.by_index(_NAMED, claims.index_key(claim)), *free]

    def _waits_for_pod(self, claim: Object) -> Said:
        pods = self._pods.by_index(claims.BY_CLAIM, claims.index_key(claim))
        names = sorted(pod["metadata"]["name"] for pod in pods if not pod["spec"].get("nodeName"))
        if names:
            return "Normal", "WaitForPodScheduled", f"waiting for pod {','.join(names)} to be scheduled"
        return "Normal", "WaitForFirstConsumer", "waiting for first consumer to be created before binding"

    async def _provision(self, claim: Object, storage_class: Object) -> float | None:
        provisioner = storage_class["provisioner"]
        name = storage_class["metadata"]["name"]
        if provisioner == claims.NO_PROVISIONER:
            said = f"no volume plugin matched name: {provisioner}"
            await self._stay_pending(claim, ("Warning", "ProvisioningFailed", said))
            return None
        if not self._provisioner.serves(provisioner):
            await self._leave_to_others(claim, provisioner)
            return None
        where = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
        driver = self._told_by(provisioner)
        try:
            volume = await self._provisioner.create(claim, storage_class)
        except ProvisionFailure as failure:
            said = f'failed to provision volume with StorageClass "{name}": {failure}'
            driver.event(claim, "Warning", "ProvisioningFailed", said)
            await self._stay_pending(claim)
            await self._give_back_node(claim)
            return RETRY_SECONDS
        if not names_claim(volume, claim):
            return RETRY_SECONDS
        driver.event(
            claim, "Normal", "Provisioning", f'External provisioner is provisioning volume for claim "{where}"'
        )
        said = f"Successfully provisioned volume {volume['metadata']['name']}"
        driver.event(claim, "Normal", "ProvisioningSucceeded", said)
        await self._bind(volume, claim, provisioner=provisioner)
        return None

    def _told_by(self, provisioner: str) -> EventRecorder:
        """Who says what becomes of a provisioner's volumes: the old name of GCE's disks is its driver's too."""
        return self._drivers.get(provisioner, self._drivers[claims.DISK_DRIVER])

    async def _leave_to_others(self, claim: Object, provisioner: str) -> None:
        if annotation(claim, claims.PROVISIONER) != provisioner:
            legacy = claims.PROVISIONER.replace("volume.", "volume.beta.", 1)
            await self._patch_claim(
                claim, {"metadata": {"annotations": dict.fromkeys((claims.PROVISIONER, legacy), provisioner)}}
            )
        said = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the"
            " system administrator. If volume creation is delayed, please verify that the provisioner is running and"
            " correctly registered."
        )
        await self._stay_pending(claim, ("Normal", "ExternalProvisioning", said))

    async def _give_back_node(self, claim: Object) -> None:
        """Has the scheduler choose again, as drivers do that cannot make a volume for a node."""
        if annotation(claim, claims.SELECTED_NODE) is not None:
            await self._patch_claim(claim, {"metadata": {"annotations": {claims.SELECTED_NODE: None}}})

    # Binding.

    async def _bind(self, volume: Object, claim: Object, *, provisioner: str = "") -> None:
        volume = await self._bind_volume(volume, claim)
        claim = await self._bind_claim(volume, claim, provisioner)
        status = {
            "phase": "Bound",
            "accessModes": volume["spec"].get("accessModes"),
            "capacity": self._claimed_capacity(volume, claim),
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
        return await self._write_phase(volume, "Bound")

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

    def _claimed_capacity(self, volume: Object, claim: Object) -> dict[str, Any]:
        """What the claim says it has: after it was bound, only the resizer and the node change that."""
        status = claim.get("status") or {}
        if status.get("phase") == "Bound" and status.get("capacity"):
            return dict(status["capacity"])
        return dict(volume["spec"].get("capacity") or {})

    # Volumes.

    async def _sync_volume(self, name: str) -> float | None:
        volume = self._volumes.get(name)
        if volume is None:
            return None
        reference = volume["spec"].get("claimRef")
        if not reference:
            await self._write_phase(volume, "Available")
            return None
        if not reference.get("uid"):
            # Somebody keeps it for a claim of that name; the claim's sync completes it.
            await self._write_phase(volume, "Available")
            return None
        claim = await self._claim_of(reference)
        if claim is None:
            return await self._release(volume)
        if claim["spec"].get("volumeName") == name:
            await self._write_phase(volume, "Bound")
            return None
        if not claim["spec"].get("volumeName"):
            self._claim_work.queue.add(key_of(claim))
            return None
        return await self._unbind(volume)

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
        await self._write_phase(await self._client.update(PERSISTENT_VOLUME, changed), "Available")
        return None

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

    async def _release(self, volume: Object) -> float | None:
        if (volume.get("status") or {}).get("phase") == "Failed":
            return None
        return await self._reclaim(await self._write_phase(volume, "Released"))

    async def _reclaim(self, volume: Object) -> float | None:
        if volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain":
            return None
        policy = volume["spec"]["persistentVolumeReclaimPolicy"]
        driver = annotation(volume, claims.PROVISIONED_BY)
        if policy == "Recycle":
            said = "No recycler plugin found for the volume!"
            await self._write_phase(volume, "Failed", ("Warning", "VolumeFailedRecycle", said))
            return None
        if driver is None and claims.disk_of(volume["spec"]) is None:
            said = (
                "error getting deleter volume plugin for volume "
                f'"{volume["metadata"]["name"]}": no deletable volume plugin matched'
            )
            await self._write_phase(volume, "Failed", ("Warning", "VolumeFailedDelete", said))
            return None
        if driver is not None and not self._provisioner.serves(driver):
            return None
        try:
            await self._provisioner.delete(volume)
        except ProvisionFailure as failure:
            self._told_by(driver or claims.DISK_DRIVER).event(volume, "Warning", "VolumeFailedDelete", str(failure))
            return 1.0
        return None

    # Writing.

    async def _get_volume(self, name: str) -> Object | None:
        try:
            return await self._client.get(PERSISTENT_VOLUME, name)
        except NotFound:
            return None

    async def _write_phase(self, volume: Object, phase: str, event: Said | None = None) -> Object:
        status = volume.get("status") or {}
        if status.get("phase") == phase:
            return volume
        said = {"message": event[2]} if event else {}
        kept = {field: value for field, value in status.items() if field not in ("message", "reason")}
        written = await self._client.update(
            PERSISTENT_VOLUME, {**volume, "status": {**kept, "phase": phase, **said}}, subresource="status"
        )
        if event is not None:
            self._tell(volume, *event)
        return written

    async def _stay_pending(self, claim: Object, event: Said | None = None) -> None:
        if event is not None:
            self._tell(claim, *event)
        await self._write_claim_status(claim, {"phase": "Pending"})

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

    async def _patch_claim(self, claim: Object, body: dict[str, Any]) -> None:
        metadata = claim["metadata"]
        body["metadata"]["uid"] = metadata["uid"]
        try:
            await self._client.patch(PERSISTENT_VOLUME_CLAIM, metadata["name"], metadata["namespace"], body=body)
        except (NotFound, Conflict):
            return

    def _tell(self, obj: Object, kind: Literal["Normal", "Warning"], reason: str, said: str) -> None:
        self._recorder.event(obj, kind, reason, said)


def _pending_class(claim: Object) -> Iterable[str]:
    """Unbound claims by their class, and those that ask for a volume by name by "=" and that name."""
    if claims.is_bound(claim):
        return ()
    name = claim["spec"].get("volumeName")
    return (f"={name}",) if name else (claims.class_of(claim) or "",)


def _named_claim(volume: Object) -> Iterable[str]:
    reference = volume["spec"].get("claimRef") or {}
    return (f"{reference.get('namespace')}/{reference.get('name')}",) if reference else ()


def _free_class(volume: Object) -> Iterable[str]:
    return (claims.class_of(volume) or "",) if is_free(volume) else ()
