"""fsGroup: a volume's files belong to a group, and new ones will, as upstream's SetVolumeOwnership has it.

A pod may change its volume meanwhile, so each file is reached from its directory without following a link, and what is
changed is what was looked at.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

_FILE_BITS, _DIRECTORY_BITS = 0o660, 0o2770
_OPEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


def give(directory: Path, group: int, *, policy: str = "Always") -> None:
    """Gives a volume to a group; with policy OnRootMismatch only if its top directory is not the group's yet."""
    top = os.lstat(directory)
    is_right = top.st_gid == group and top.st_mode & _DIRECTORY_BITS == _DIRECTORY_BITS
    if policy == "OnRootMismatch" and is_right:
        return
    for _, names, files, descriptor in os.fwalk(directory, topdown=False):
        for name in (*names, *files):
            _give_one(name, descriptor, group)
    # Last, so that a kill before the end is not taken for a volume that is done.
    _give_one(str(directory), None, group)


def _give_one(name: str, directory: int | None, group: int) -> None:
    try:
        descriptor = os.open(name, _OPEN, dir_fd=directory)
    except FileNotFoundError:
        return
    try:
        found = os.fstat(descriptor)
        path = f"/proc/self/fd/{descriptor}"
        if stat.S_ISLNK(found.st_mode):
            os.chown(name, -1, group, dir_fd=directory, follow_symlinks=False)
            return
        os.chown(path, -1, group)
        bits = _DIRECTORY_BITS if stat.S_ISDIR(found.st_mode) else _FILE_BITS
        os.chmod(path, stat.S_IMODE(found.st_mode) | bits)
    finally:
        os.close(descriptor)
