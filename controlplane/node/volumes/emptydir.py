"""emptyDir: a directory that lives as long as the pod. With `medium: Memory` it is a tmpfs of its own size."""

from __future__ import annotations

import os
from pathlib import Path

from controlplane.api.quantity import whole
from controlplane.api.types import Object
from controlplane.node.errors import VolumeFailure
from controlplane.node.volumes.context import VolumeContext
from netsim import syscalls
from netsim.errors import NetsimError
from netsim.mountspace import is_mount_point

MODE = 0o777


async def setup(volume: Object, context: VolumeContext) -> Path:
    """Makes the directory, writable by everybody as upstream does."""
    source = volume.get("emptyDir") or {}
    medium = source.get("medium") or ""
    if medium == "Memory":
        return await _in_memory(volume["name"], source, context)
    if medium:
        raise VolumeFailure(f"medium {medium} is not supported: these nodes have no huge pages")
    path = Path(context.directory, volume["name"])
    await context.spawner.files(_make, path, context.fs_group)
    return path


async def _in_memory(name: str, source: Object, context: VolumeContext) -> Path:
    path, size = context.memory / name, memory_size(source, context.pod, context.allocatable)

    def call() -> None:
        path.mkdir(parents=True, exist_ok=True)
        if is_mount_point(str(path)):
            return
        syscalls.mount("tmpfs", str(path), flags=0, filesystem="tmpfs", data=f"size={size},mode=0777")
        _own(path, context.fs_group)

    try:
        await context.spawner.mounts(call)
    except (NetsimError, OSError) as error:
        raise VolumeFailure(str(error)) from error
    return path


def memory_size(source: Object, pod: Object, allocatable: dict[str, str]) -> int:
    """The bytes of a volume in memory: its limit, but no more than the pod or the node may have."""
    limits = [whole(source.get("sizeLimit") or "0"), _memory_limit(pod), whole(allocatable.get("memory", "0"))]
    return min((limit for limit in limits if limit), default=0)


def _memory_limit(pod: Object) -> int:
    """What the containers may use together; 0 if one of them has no limit."""
    total = 0
    for container in pod["spec"]["containers"]:
        limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        if limit is None:
            return 0
        total += whole(limit)
    return total


def _make(path: Path, group: int | None) -> None:
    if path.exists():
        return
    path.mkdir(parents=True)
    _own(path, group)


def _own(path: Path, group: int | None) -> None:
    if group is not None:
        os.chown(path, -1, group)
    path.chmod(MODE | (0o2000 if group is not None else 0))
