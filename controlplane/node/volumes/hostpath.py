"""hostPath: a path of the host, shared by all emulated nodes. `type` is checked as the kubelet does."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

from controlplane.api.types import Object
from controlplane.node.errors import VolumeFailure
from controlplane.node.volumes.context import VolumeContext

_CHECKS: dict[str, tuple[str, Callable[[int], bool]]] = {
    "Directory": ("a directory", stat.S_ISDIR),
    "DirectoryOrCreate": ("a directory", stat.S_ISDIR),
    "File": ("a file", stat.S_ISREG),
    "FileOrCreate": ("a file", stat.S_ISREG),
    "Socket": ("a socket", stat.S_ISSOCK),
    "CharDevice": ("a character device", stat.S_ISCHR),
    "BlockDevice": ("a block device", stat.S_ISBLK),
}


async def setup(volume: Object, context: VolumeContext) -> Path:
    """The path itself; VolumeFailure when it is not what `type` says."""
    path, kind = Path(volume["hostPath"]["path"]), volume["hostPath"].get("type") or ""
    await context.outside.run(str(path), lambda: _check(path, kind))
    return path


def _check(path: Path, kind: str) -> None:
    try:
        _make(path, kind)
    except OSError as error:
        raise VolumeFailure(f"{error.filename or path}: {(error.strerror or '').lower()}") from error
    if kind in _CHECKS:
        what, is_kind = _CHECKS[kind]
        if not path.exists() or not is_kind(path.stat().st_mode):
            raise VolumeFailure(f"hostPath type check failed: {path} is not {what}")


def _make(path: Path, kind: str) -> None:
    if path.exists():
        return
    if kind in ("DirectoryOrCreate", ""):
        # For no type at all, upstream's container runtimes make it.
        path.mkdir(mode=0o755, parents=True)
    elif kind == "FileOrCreate":
        path.touch(mode=0o644)
