"""emptyDir: a directory that lives as long as the pod. With `medium: Memory` it lies on /run, a tmpfs."""

from __future__ import annotations

import os
from pathlib import Path

from controlplane.api.types import Object
from controlplane.node.volumes.context import VolumeContext

MODE = 0o777


async def setup(volume: Object, context: VolumeContext) -> Path:
    """Makes the directory, writable by everybody as upstream does."""
    in_memory = (volume.get("emptyDir") or {}).get("medium") == "Memory"
    path = Path(context.memory if in_memory else context.directory, volume["name"])
    await context.spawner.files(_make, path, context.fs_group)
    return path


def _make(path: Path, group: int | None) -> None:
    if path.exists():
        return
    path.mkdir(parents=True)
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(MODE | (0o2000 if group is not None else 0))
