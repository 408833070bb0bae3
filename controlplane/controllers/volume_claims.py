"""One step of one claim towards the volume that it asks for.

claim, unbound  -> a volume that suits -> volume.claimRef -> claim.volumeName -> both Bound
                -> else its class makes one (volume_provisioner), at once or when a pod has a node
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.api import claims
from controlplane.api.errors import NotFound
from controlplane.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS
from controlplane.api.printing.storage import is_default_class
from controlplane.api.types import Object
from controlplane.api.volume_matching import best, is_free, mismatch, names_claim
from controlplane.client.informer import Informers, ObjectKey
from controlplane.client.interface import Client
from controlplane.controllers.meta import annotation, is_deleting
from controlplane.controllers.volume_provisioner import Provisioner, ProvisionFailure
from controlplane.controllers.volume_writer import Said, VolumeWriter
from controlplane.server.admission.storage import newest_default

DELAYED = "WaitForFirstConsumer"
RETRY_SECONDS = 15.0
"""How long after a volume could not be made it is tried again, as upstream's resync."""
_NAMED, _FREE = "named", "free"
"""Names of indexes: volumes by the claim that they name, and those that name none."""
_LOST_REFERENCE = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
_LOST_VOLUME = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
_NO_CLASS = "no persistent volumes available for this claim and no storage class is set"


class ClaimSync:
    """Compares a claim with the volumes and classes that there are, and takes the next step."""

    def __init__(self, client: Client, informers: Informers, provisioner: Provisioner, writer: VolumeWriter) -> None:
        self._client = client
        self._provisioner = provisioner
        self._writer = writer
        self._claims = informers.of(PERSISTENT_VOLUME_CLAIM)
        self._volumes = informers.of(PERSISTENT_VOLUME)
        self._classes = informers.of(STORAGE_CLASS)
        self._pods = informers.of(POD)
        self._pods.add_index(claims.BY_CLAIM, claims.by_claim)
        self._volumes.add_index(_NAMED, _named_claim)
        self._volumes.add_index(_FREE, _free_class)

    async def sync(self, key: ObjectKey) -> float | None:
        """One step; seconds until it is tried again, if it is."""
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

    def is_delayed(self, claim: Object) -> bool:
        """Whether the claim waits for a pod that uses it."""
        storage_class = self._classes.get(claims.class_of(claim) or "")
        return storage_class is not None and storage_class.get("volumeBindingMode") == DELAYED

    async def _sync_bound(self, claim: Object) -> None:
        name = claim["spec"].get("volumeName")
        if not name:
            await self._writer.lose(claim, "ClaimLost", _LOST_REFERENCE)
            return
        volume = self._volumes.get(name) or await self._get_volume(name)
        if volume is None:
            await self._writer.lose(claim, "ClaimLost", _LOST_VOLUME)
        elif not volume["spec"].get("claimRef") or names_claim(volume, claim):
            await self._writer.bind(volume, claim)
        else:
            said = "Two claims are bound to the same volume, this one is bound incorrectly"
            await self._writer.lose(claim, "ClaimMisbound", said)

    async def _sync_named(self, claim: Object) -> None:
        """A claim whose volume somebody wrote into it."""
        name = claim["spec"]["volumeName"]
        volume = self._volumes.get(name)
        if volume is None:
            await self._writer.stay_pending(claim)
            return
        if not volume["spec"].get("claimRef") or names_claim(volume, claim):
            reason = mismatch(volume, claim)
            if reason:
                said = f'Cannot bind to requested volume "{name}": {reason}'
                await self._writer.stay_pending(claim, ("Warning", "VolumeMismatch", said))
            elif not is_deleting(volume):
                await self._writer.bind(volume, claim)
            return
        said = f'volume "{name}" already bound to a different claim.'
        await self._writer.stay_pending(claim, ("Warning", "FailedBinding", said))

    async def _sync_unbound(self, claim: Object) -> float | None:
        storage_class = self._classes.get(claims.class_of(claim) or "")
        delayed = self.is_delayed(claim)
        chosen = annotation(claim, claims.SELECTED_NODE)
        volume = best(claim, self._candidates(claim), delayed=delayed)
        if volume is not None:
            await self._writer.bind(volume, claim)
            return None
        if delayed and chosen is None:
            await self._writer.stay_pending(claim, self._waits_for_pod(claim))
            return None
        if not claims.class_of(claim):
            if not await self._give_default_class(claim):
                await self._writer.stay_pending(claim, ("Normal", "FailedBinding", _NO_CLASS))
            return None
        if storage_class is None:
            said = f'storageclass.storage.k8s.io "{claims.class_of(claim)}" not found'
            await self._writer.stay_pending(claim, ("Warning", "ProvisioningFailed", said))
            return None
        return await self._provision(claim, storage_class)

    async def _give_default_class(self, claim: Object) -> bool:
        """Gives a claim that was made before there was a default class the one there is now; False if there is none."""
        if claims.class_of(claim) is not None:
            return False
        chosen = newest_default([one for one in self._classes.list() if is_default_class(one)])
        if chosen is None:
            return False
        await self._writer.patch_claim(
            claim, {"metadata": {}, "spec": {"storageClassName": chosen["metadata"]["name"]}}
        )
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
            await self._writer.stay_pending(claim, ("Warning", "ProvisioningFailed", said))
            return None
        if not self._provisioner.serves(provisioner):
            await self._leave_to_others(claim, provisioner)
            return None
        where = f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"
        driver = self._writer.driver(provisioner)
        try:
            volume = await self._provisioner.create(claim, storage_class)
        except ProvisionFailure as failure:
            said = f'failed to provision volume with StorageClass "{name}": {failure}'
            driver.event(claim, "Warning", "ProvisioningFailed", said)
            await self._writer.stay_pending(claim)
            await self._give_back_node(claim)
            return RETRY_SECONDS
        if not names_claim(volume, claim):
            return RETRY_SECONDS
        driver.event(
            claim, "Normal", "Provisioning", f'External provisioner is provisioning volume for claim "{where}"'
        )
        said = f"Successfully provisioned volume {volume['metadata']['name']}"
        driver.event(claim, "Normal", "ProvisioningSucceeded", said)
        await self._writer.bind(volume, claim, provisioner=provisioner)
        return None

    async def _leave_to_others(self, claim: Object, provisioner: str) -> None:
        if annotation(claim, claims.PROVISIONER) != provisioner:
            legacy = claims.PROVISIONER.replace("volume.", "volume.beta.", 1)
            await self._writer.patch_claim(
                claim, {"metadata": {"annotations": dict.fromkeys((claims.PROVISIONER, legacy), provisioner)}}
            )
        said = (
            f"Waiting for a volume to be created either by the external provisioner '{provisioner}' or manually by the"
            " system administrator. If volume creation is delayed, please verify that the provisioner is running and"
            " correctly registered."
        )
        await self._writer.stay_pending(claim, ("Normal", "ExternalProvisioning", said))

    async def _give_back_node(self, claim: Object) -> None:
        """Has the scheduler choose again, as drivers do that cannot make a volume for a node."""
        if annotation(claim, claims.SELECTED_NODE) is not None:
            await self._writer.patch_claim(claim, {"metadata": {"annotations": {claims.SELECTED_NODE: None}}})

    async def _get_volume(self, name: str) -> Object | None:
        try:
            return await self._client.get(PERSISTENT_VOLUME, name)
        except NotFound:
            return None


def _named_claim(volume: Object) -> Iterable[str]:
    reference = volume["spec"].get("claimRef") or {}
    return (f"{reference.get('namespace')}/{reference.get('name')}",) if reference else ()


def _free_class(volume: Object) -> Iterable[str]:
    return (claims.class_of(volume) or "",) if is_free(volume) else ()
