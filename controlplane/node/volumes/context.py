"""What a volume may know of its pod and node."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.api.types import Object
from controlplane.client.recorder import EventRecorder
from controlplane.node.runtime.spawner import Spawner
from controlplane.node.values import Sources
from controlplane.node.volumes.outside import Outside
from controlplane.node.volumes.storage import Storage

TokenSource = Callable[[Object, Object], Awaitable[str]]
"""(pod, serviceAccountToken projection) to a token that is valid for some time yet."""


@dataclass(frozen=True, slots=True)
class VolumeContext:
    """`directory` holds one directory per volume, and `memory` likewise on a tmpfs, for what is made of API objects
    and must not reach the disk; `addresses` are those of the downward API; `labels` are the node's."""

    cluster: str
    pod: Object
    directory: Path
    memory: Path
    sources: Sources
    spawner: Spawner
    outside: Outside
    tokens: TokenSource
    addresses: dict[str, Any]
    allocatable: dict[str, str]
    storage: Storage
    recorder: EventRecorder
    labels: Mapping[str, str]

    @property
    def fs_group(self) -> int | None:
        """The group that owns the pod's volumes, if the manifest names one."""
        group = (self.pod["spec"].get("securityContext") or {}).get("fsGroup")
        return int(group) if group is not None else None

    @property
    def fs_group_policy(self) -> str:
        """Always, or OnRootMismatch."""
        return (self.pod["spec"].get("securityContext") or {}).get("fsGroupChangePolicy") or "Always"
