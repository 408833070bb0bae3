"""Makes the volumes that storage classes promise, grows them, and deletes them: the part of the cloud's drivers.

It serves GCE's disks and the cluster's file server. A volume is named after its claim's uid, so what a kill left half
done is found and finished: first the disk, then the PersistentVolume; on the way out first the disk, then the object.
"""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar

from controlplane.api import claims
from controlplane.api.errors import AlreadyExists, NotFound
from controlplane.api.kinds import NODE, PERSISTENT_VOLUME, VOLUME_ATTACHMENT
from controlplane.api.quantity import NANO, render
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from netsim.disks import Disks, rounded
from netsim.errors import NetsimError
from netsim.exports import Exports

T = TypeVar("T")

PROTECTION = "kubernetes.io/pv-protection"
DISK_TYPES = ("hyperdisk-balanced", "pd-balanced", "pd-extreme", "pd-ssd", "pd-standard")
DISK_PARAMETERS = frozenset(
    {
        "csi.storage.k8s.io/fstype",
        "disk-encryption-kms-key",
        "fstype",
        "labels",
        "replication-type",
        "type",
        "zone",
        "zones",
    }
)
PROJECT = "netsim"
_PREFIX = "pvc-"
EXPORT_ROOT = "/exports"
"""Below it lie the directories of claims on the cluster's file server."""
_MULTI_WRITER = "VolumeCapabilities is invalid: specified multi writer with mount access type"


class ProvisionFailure(Exception):
    """A volume cannot be made, grown or deleted; the message is for the event."""


class Provisioner:
    """Makes volumes for the classes of `serves`."""

    def __init__(self, client: Client, informers: Informers, disks: Disks, exports: Exports) -> None:
        self._client = client
        self._disks = disks
        self._exports = exports
        self._nodes = informers.of(NODE)
        self._attachments = informers.of(VOLUME_ATTACHMENT)
        self._thread = ThreadPoolExecutor(1, "provisioner")

    def serves(self, provisioner: str) -> bool:
        """Whether volumes of this provisioner are made here."""
        return provisioner in claims.DISK_PROVISIONERS or provisioner == claims.NFS_PROVISIONER

    async def sweep(self, volumes: Iterable[Object], found: Iterable[Object]) -> None:
        """Removes what a kill left half made or half deleted; a disk that holds something is never taken for that.

        `volumes` are all there are, and `found` all claims.
        """
        await self._work(self._disks.sweep)
        await self._work(self._exports.disks.sweep)
        used = {claims.disk_of(volume["spec"]) for volume in volumes}
        used |= {_name_for(claim) for claim in found}
        await self._work(lambda: self._remove_blank(used))

    def _remove_blank(self, used: Collection[str | None]) -> None:
        for name in self._disks.names():
            if name.startswith(_PREFIX) and name not in used:
                with suppress(NetsimError):
                    if self._disks.is_blank(name):
                        self._disks.delete(name)

    async def create(self, claim: Object, storage_class: Object) -> Object:
        """The PersistentVolume for a claim, already its; ProvisionFailure with what is wrong."""
        _refuse_unsupported(claim)
        name = _name_for(claim)
        size = rounded(claims.requested(claim))
        try:
            if storage_class["provisioner"] == claims.NFS_PROVISIONER:
                source = await self._create_export(name, size)
            else:
                source = await self._create_disk(name, size, claim, storage_class)
        except NetsimError as error:
            raise ProvisionFailure(str(error)) from error
        volume = _volume(name, size, claim, storage_class, source)
        try:
            return await self._client.create(PERSISTENT_VOLUME, volume)
        except AlreadyExists:
            return await self._client.get(PERSISTENT_VOLUME, name)

    async def grow(self, volume: Object, size: int) -> str:
        """Makes what is behind a volume larger; the capacity it has then. Raises ProvisionFailure."""
        spec, size = volume["spec"], rounded(size)
        disk = claims.disk_of(spec)
        try:
            if disk is not None:
                await self._work(lambda: self._disks.grow(disk, size))
            elif "nfs" in spec:
                await self._work(lambda: self._grow_export(spec["nfs"], size))
        except NetsimError as error:
            raise ProvisionFailure(str(error)) from error
        return render(size * NANO, "binary")

    async def delete(self, volume: Object) -> None:
        """Deletes a volume with its data; ProvisionFailure while it is in use."""
        name, spec = volume["metadata"]["name"], volume["spec"]
        for attachment in self._attachments.list():
            if attachment["spec"]["source"].get("persistentVolumeName") == name:
                node = attachment["spec"]["nodeName"]
                raise ProvisionFailure(f"persistentvolume {name} is still attached to node {node}")
        disk = claims.disk_of(spec)
        try:
            if disk is not None:
                await self._work(lambda: self._disks.delete(disk))
            elif "nfs" in spec:
                await self._work(lambda: self._delete_export(spec["nfs"]))
        except NetsimError as error:
            raise ProvisionFailure(str(error)) from error
        try:
            await self._client.delete(PERSISTENT_VOLUME, name, uid=volume["metadata"]["uid"])
        except NotFound:
            return

    def _grow_export(self, source: Mapping[str, Any], size: int) -> None:
        found = self._exports.find(source.get("server", ""), source.get("path", ""))
        if found is not None:
            self._exports.disks.grow(found[0].disk, size)

    def _delete_export(self, source: Mapping[str, Any]) -> None:
        found = self._exports.find(source["server"], source["path"])
        if found is not None and not found[1]:
            self._exports.remove(found[0].server, found[0].path)

    async def _create_disk(self, name: str, size: int, claim: Object, storage_class: Object) -> dict[str, Any]:
        parameters = storage_class.get("parameters") or {}
        unknown = sorted(set(parameters) - DISK_PARAMETERS)
        if unknown:
            raise ProvisionFailure(_invalid(f'parameters contains invalid option "{unknown[0]}"'))
        kind: str = parameters.get("type", "pd-standard")
        if kind not in DISK_TYPES:
            raise ProvisionFailure(_invalid(f"invalid disk type {kind}; allowed are {', '.join(DISK_TYPES)}"))
        if "ReadWriteMany" in claim["spec"].get("accessModes", ()) and claim["spec"].get("volumeMode") != "Block":
            raise ProvisionFailure(_invalid(_MULTI_WRITER))
        zone = self._zone(claim, storage_class)
        await self._work(lambda: self._disks.ensure(name, size))
        filesystem: str = parameters.get("csi.storage.k8s.io/fstype") or parameters.get("fstype") or "ext4"
        terms = [{"matchExpressions": [{"key": claims.DRIVER_ZONE_LABEL, "operator": "In", "values": [zone]}]}]
        source: dict[str, Any] = {
            "driver": claims.DISK_DRIVER,
            "volumeHandle": f"projects/{PROJECT}/zones/{zone}/disks/{name}",
            "volumeAttributes": {"storage.kubernetes.io/csiProvisionerIdentity": claims.DISK_DRIVER},
        }
        if claim["spec"].get("volumeMode") != "Block":
            source["fsType"] = filesystem
        return {"csi": source, "nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}

    async def _create_export(self, name: str, size: int) -> dict[str, Any]:
        path = f"{EXPORT_ROOT}/{name}"
        await self._work(lambda: self._exports.ensure(claims.NFS_SERVER, path, size))
        return {"nfs": {"server": claims.NFS_SERVER, "path": path}}

    def _zone(self, claim: Object, storage_class: Object) -> str:
        """The zone of a new disk: the chosen node's, else one of those that the class allows and nodes are in."""
        node = (claim["metadata"].get("annotations") or {}).get(claims.SELECTED_NODE)
        nodes = [self._nodes.get(node)] if node else self._nodes.list()
        zones = {(one["metadata"].get("labels") or {}).get(claims.NODE_ZONE_LABEL, "") for one in nodes if one}
        allowed = allowed_zones(storage_class)
        possible = sorted(zone for zone in zones if zone and (allowed is None or zone in allowed))
        if not possible:
            raise ProvisionFailure("error generating accessibility requirements: no available topology found")
        chosen: str = possible[zlib.crc32(claim["metadata"]["name"].encode()) % len(possible)]
        return chosen

    async def _work(self, function: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)


def allowed_zones(storage_class: Object) -> set[str] | None:
    """The zones in which a class may make volumes; None for any."""
    zones: set[str] | None = None
    for term in storage_class.get("allowedTopologies") or ():
        for expression in term.get("matchLabelExpressions") or ():
            if expression["key"] in (claims.NODE_ZONE_LABEL, claims.DRIVER_ZONE_LABEL):
                zones = (zones or set()) | set(expression.get("values") or ())
    return zones


def _name_for(claim: Object) -> str:
    return f"{_PREFIX}{claim['metadata']['uid']}"


def _refuse_unsupported(claim: Object) -> None:
    if claim["spec"].get("dataSource") or claim["spec"].get("dataSourceRef"):
        raise ProvisionFailure("volumes are not filled from others or from snapshots by this version of netsim")
    if claim["spec"].get("volumeAttributesClassName"):
        raise ProvisionFailure("the driver has no attributes that could be changed in this version of netsim")


def _invalid(said: str) -> str:
    return f"rpc error: code = InvalidArgument desc = {said}"


def _volume(name: str, size: int, claim: Object, storage_class: Object, source: dict[str, Any]) -> Object:
    provisioner = storage_class["provisioner"]
    driver = claims.DISK_DRIVER if provisioner in claims.DISK_PROVISIONERS else provisioner
    options = storage_class.get("mountOptions")
    return {
        "apiVersion": PERSISTENT_VOLUME.api_version,
        "kind": PERSISTENT_VOLUME.name,
        "metadata": {
            "name": name,
            "annotations": {claims.PROVISIONED_BY: driver},
            "finalizers": [PROTECTION],
        },
        "spec": {
            "accessModes": claim["spec"].get("accessModes"),
            "capacity": {"storage": render(size * NANO, "binary")},
            "claimRef": claims.claim_reference(claim),
            "persistentVolumeReclaimPolicy": storage_class.get("reclaimPolicy") or "Delete",
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": claim["spec"].get("volumeMode") or "Filesystem",
            **({"mountOptions": options} if options else {}),
            **source,
        },
    }
