"""A volume that is ready: what containers bind of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mounted:
    """`path` is the volume's directory on the node, or its file, or its block device; `sub` the part of it that the
    volume is, which pods may have changed to a link by now. `options` are those of the mount that a bind of it has to
    repeat. `name` is what messages call it."""

    path: Path
    sub: str = ""
    read_only: bool = False
    is_device: bool = False
    options: tuple[str, ...] = ()
    name: str = ""
