"""local: a directory of one node, which must be there; nodes share the host, so the volume's affinity says which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from controlplane.node.errors import VolumeFailure
from controlplane.node.volumes import ownership
from controlplane.node.volumes.context import VolumeContext
from controlplane.node.volumes.mounted import Mounted


async def mount(spec: dict[str, Any], context: VolumeContext) -> Mounted:
    """The directory, or the block device, of a local PersistentVolume."""
    path = Path(spec["local"]["path"])
    wants_device = spec.get("volumeMode") == "Block"

    def look() -> None:
        if not path.exists():
            raise VolumeFailure(f'path "{path}" does not exist')
        if wants_device and not path.is_block_device():
            raise VolumeFailure(f'path "{path}" is not a block device')
        if not wants_device and not path.is_dir():
            raise VolumeFailure(f'path "{path}" is not a directory')

    await context.outside.run(str(path), look)
    group = context.fs_group
    if group is not None and not wants_device:
        await context.outside.run(str(path), lambda: ownership.give(path, group, policy="OnRootMismatch"))
    return Mounted(path, is_device=wants_device)
