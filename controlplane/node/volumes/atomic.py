"""Writes a set of files so that a reader sees the old set or the new one, never a mixture.

As upstream's atomic writer: the files are in a directory of their own, `..data` is a symbolic link to it
that is swapped by rename, and the visible names are links through `..data`.
"""

from __future__ import annotations

import os
import secrets
import shutil
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from controlplane.node.errors import VolumeFailure

DATA = "..data"
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class File:
    """The content and permission bits of one file."""

    content: bytes
    mode: int = 0o644


def write(directory: Path, files: Mapping[str, File], group: int | None = None) -> bool:
    """Makes `directory` hold exactly `files` (relative paths); False if it did already.

    Raises VolumeFailure for a path that leads elsewhere, or through another of the files.
    """
    files = {_inside(name): file for name, file in files.items()}
    where = str(directory)
    os.makedirs(where, exist_ok=True)
    current = f"{where}/{DATA}"
    previous = os.readlink(current) if os.path.islink(current) else None
    if previous and ("/" in previous or not previous.startswith("..20")):
        raise VolumeFailure(f"{DATA} of the volume was changed from outside")
    if previous and _holds(f"{where}/{previous}", files):
        return False
    fresh = f"{time.strftime('..%Y_%m_%d_%H_%M_%S', time.gmtime())}.{secrets.token_hex(4)}"
    os.mkdir(f"{where}/{fresh}", 0o755)
    try:
        for name, file in files.items():
            _write_one(f"{where}/{fresh}/{name}", file, group)
    except OSError as error:
        shutil.rmtree(f"{where}/{fresh}", ignore_errors=True)
        raise VolumeFailure(f"the files of the volume cannot be written: {error.strerror}") from error
    if previous:
        link = f"{where}/..data_tmp"
        with suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink(fresh, link)
        os.rename(link, current)
    else:
        os.symlink(fresh, current)
    _expose(where, {name.split("/", 1)[0] for name in files})
    if previous:
        shutil.rmtree(f"{where}/{previous}", ignore_errors=True)
    return True


def _inside(name: str) -> str:
    path = os.path.normpath(name)
    if path.startswith(("/", "..")) or ".." in name.split("/") or "\0" in name:
        raise VolumeFailure(f"{name!r} is no path of a file inside the volume")
    return path


def _write_one(path: str, file: File, group: int | None) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    descriptor = os.open(path, _NEW_FILE, 0o600)
    try:
        os.write(descriptor, file.content)
        os.fchmod(descriptor, file.mode | (0o040 if group is not None else 0))
        if group is not None:
            os.fchown(descriptor, -1, group)
    finally:
        os.close(descriptor)


def _expose(where: str, names: set[str]) -> None:
    present = {entry for entry in os.listdir(where) if not entry.startswith("..")}
    for name in present - names:
        os.unlink(f"{where}/{name}")
    for name in names - present:
        os.symlink(f"{DATA}/{name}", f"{where}/{name}")


def _holds(root: str, files: Mapping[str, File]) -> bool:
    present = {
        os.path.relpath(os.path.join(directory, name), root) for directory, _, names in os.walk(root) for name in names
    }
    return present == set(files) and all(Path(root, name).read_bytes() == file.content for name, file in files.items())
