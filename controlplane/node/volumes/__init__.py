"""Volumes of a pod: each kind in its own module, found here by the field that names it in the manifest.

A kind that is not here is an error that the pod waits on, never ignored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

from controlplane.api.types import Object
from controlplane.node.errors import VolumeFailure
from controlplane.node.volumes import claim, disk, emptydir, hostpath, nfs, projected
from controlplane.node.volumes.context import VolumeContext
from controlplane.node.volumes.mounted import Mounted

Setup = Callable[[Object, VolumeContext], Awaitable[Path | Mounted]]
"""Makes the volume ready, again and again, and returns its directory on the host."""

KINDS: dict[str, Setup] = {
    "configMap": projected.config_map,
    "downwardAPI": projected.downward_api,
    "emptyDir": emptydir.setup,
    "ephemeral": claim.setup,
    "gcePersistentDisk": disk.setup,
    "hostPath": hostpath.setup,
    "nfs": nfs.setup,
    "persistentVolumeClaim": claim.setup,
    "projected": projected.setup,
    "secret": projected.secret,
}


async def setup(volume: Object, context: VolumeContext) -> Mounted:
    """The volume, ready to be mounted into containers; VolumeFailure with what is wrong."""
    kinds = [key for key in volume if key != "name"]
    if not kinds:
        kinds = ["emptyDir"]
    handler = KINDS.get(kinds[0])
    if handler is None:
        raise VolumeFailure(f'no volume plugin matched name: {kinds[0]} of volume "{volume["name"]}" is not supported')
    made = await handler(volume, context)
    return made if isinstance(made, Mounted) else Mounted(made)
