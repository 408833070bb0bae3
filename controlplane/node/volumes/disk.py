"""gcePersistentDisk, and csi with the driver of GCE's disks: a disk of the cluster, by the name that the cloud has.

A disk that nobody made before is made at its first use: a manifest that names one of the cloud's disks works here too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controlplane.api import claims
from controlplane.api.types import Object
from controlplane.node.errors import VolumeFailure, VolumeWait
from controlplane.node.volumes import ownership
from controlplane.node.volumes.context import VolumeContext
from controlplane.node.volumes.mounted import Mounted
from controlplane.node.volumes.staging import DEFAULT_FILE_SYSTEM, DISKS, Mount
from netsim.errors import NetsimError

DEFAULT_SIZE = 10 << 30
"""Of a disk that a pod names directly, bytes."""


async def setup(volume: Object, context: VolumeContext) -> Mounted:
    """The disk that a pod names itself."""
    spec = {key: value for key, value in volume.items() if key != "name"}
    taken_for = claims.own_volume(volume)
    if taken_for is None:
        name = spec["gcePersistentDisk"].get("pdName", "")
        raise VolumeFailure(f"{name!r} is no name of a disk")
    require_attached(taken_for["metadata"]["name"], context)
    return await mount(spec, context)


def require_attached(name: str, context: VolumeContext) -> None:
    """Raises VolumeWait unless a volume is attached to this node."""
    attachment = context.storage.attachment(name)
    if attachment is None or not (attachment.get("status") or {}).get("attached"):
        raise VolumeWait(f"volume {name} is not attached yet")
    if "deletionTimestamp" in attachment["metadata"]:
        raise VolumeWait(f"volume {name} is being detached")


async def mount(spec: dict[str, Any], context: VolumeContext) -> Mounted:
    """Mounts the disk of a PersistentVolume's spec, or attaches it where it is wanted as a block device."""
    wanted = _wanted(spec)
    source = spec.get("gcePersistentDisk") or spec["csi"]
    if source.get("partition"):
        raise VolumeFailure("partitions of disks are not supported by this version of netsim")
    uid = context.pod["metadata"]["uid"]
    staging = context.storage.staging
    size = claims.capacity({"spec": spec}) if "capacity" in spec else DEFAULT_SIZE
    try:
        await context.spawner.files(staging.store(DISKS).ensure, wanted.disk, size)
    except NetsimError as error:
        raise VolumeFailure(str(error)) from error
    if spec.get("volumeMode") == "Block":
        device = await staging.attach(wanted, uid)
        return Mounted(Path(device), is_device=True)
    path, new = await staging.mount(wanted, uid)
    group = context.fs_group
    if group is not None and not source.get("readOnly"):
        policy = context.fs_group_policy if new else "OnRootMismatch"
        await context.spawner.mounts(lambda: ownership.give(path, group, policy=policy))
    return Mounted(path, read_only=bool(source.get("readOnly")))


async def grow(spec: dict[str, Any], context: VolumeContext) -> None:
    """Has the file system of a mounted disk fill it; raises NetsimError."""
    if claims.disk_of(spec) is not None:
        await context.storage.staging.grow(_wanted(spec))


def _wanted(spec: dict[str, Any]) -> Mount:
    source = spec.get("gcePersistentDisk") or spec["csi"]
    disk = claims.disk_of(spec)
    assert disk is not None
    return Mount(DISKS, disk, source.get("fsType") or DEFAULT_FILE_SYSTEM, tuple(spec.get("mountOptions") or ()))
