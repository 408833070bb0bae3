"""What of volumes, files and devices is mounted in a container: from its manifest to mounts in the runtime's terms."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from controlplane.api.types import Object
from controlplane.node import podfiles
from controlplane.node.errors import ConfigFailure
from controlplane.node.runtime import oci
from controlplane.node.state import PodState
from controlplane.node.subpath import SubPath
from controlplane.node.values import expand, references
from controlplane.node.volumes.mounted import Mounted

DEFAULT_TERMINATION_PATH = "/dev/termination-log"
_PROPAGATION = {"None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}
_WRITTEN_BY_NODE = frozenset({"configMap", "secret", "downwardAPI", "projected"})
"""Volumes that containers only read, as upstream: the node follows the links in them when it writes."""
_RECURSIVE = {"Enabled": ("rro",), "IfPossible": ("rro",)}


def merged(
    state: PodState, spec: Object, of_image: Iterable[oci.Mount], of_volumes: Iterable[oci.Mount], termination: str
) -> list[oci.Mount]:
    """One mount a target: what the manifest asks for wins over the pod's files, and those over the image's.

    `termination` is the file in which the container may leave a last message.
    """
    assert state.sandbox is not None, "made before any container"
    target = spec.get("terminationMessagePath") or DEFAULT_TERMINATION_PATH
    found = {mount.target: mount for mount in (*of_image, *podfiles.mounts(state.sandbox))}
    found[target] = oci.Mount(termination, target, recursive=False)
    if state.pod["spec"].get("hostIPC"):
        found[podfiles.SHM] = oci.Mount(podfiles.SHM, podfiles.SHM)
    return list((found | {mount.target: mount for mount in of_volumes}).values())


def of_volumes(
    spec: Object, state: PodState, variables: dict[str, str], bound: Path
) -> tuple[list[oci.Mount], list[SubPath]]:
    """The mounts, and what has to be bound below `bound` for those of a part of a volume. Raises `ConfigFailure`."""
    mounts, parts = list[oci.Mount](), list[SubPath]()
    written = {v["name"] for v in state.pod["spec"].get("volumes") or [] if not _WRITTEN_BY_NODE.isdisjoint(v)}
    for mount in spec.get("volumeMounts") or []:
        name = mount["name"]
        volume = _volume(state, spec, name)
        if volume.is_device:
            raise ConfigFailure(f"volume {name} has volumeMode Block, but is specified in volumeMounts")
        source = volume.path
        sub = "/".join(part for part in (volume.sub, mount.get("subPath") or _sub_path(mount, variables)) if part)
        if sub:
            parts.append(SubPath(source, sub, bound / str(len(parts))))
            source = parts[-1].target
        mounts.append(
            oci.Mount(
                str(source),
                os.path.normpath(mount["mountPath"]),
                read_only=bool(mount.get("readOnly")) or volume.read_only or name in written,
                options=(*volume.options, *_RECURSIVE.get(mount.get("recursiveReadOnly") or "", ())),
                propagation=_PROPAGATION[mount.get("mountPropagation") or "None"],
            )
        )
    return mounts, parts


def devices(spec: Object, state: PodState) -> list[oci.Device]:
    """The volumes that the container has as block devices. Raises `ConfigFailure`."""
    found = []
    for device in spec.get("volumeDevices") or []:
        volume = _volume(state, spec, device["name"])
        if not volume.is_device:
            raise ConfigFailure(f"volume {device['name']} has volumeMode Filesystem, but is specified in volumeDevices")
        found.append(oci.Device(str(volume.path), device["devicePath"], read_only=volume.read_only))
    return found


def _volume(state: PodState, spec: Object, name: str) -> Mounted:
    volume = state.volumes.get(name)
    if volume is None:
        raise ConfigFailure(f'cannot find volume "{name}" to mount into container "{spec["name"]}"')
    return volume


def _sub_path(mount: Object, variables: dict[str, str]) -> str:
    """subPathExpr with its variables; what is not defined is an error, never a directory of that name."""
    expression = mount.get("subPathExpr") or ""
    missing = [name for name in references(expression) if name not in variables]
    if missing:
        raise ConfigFailure(f'missing value for "{missing[0]}"')
    return expand(expression, variables)
