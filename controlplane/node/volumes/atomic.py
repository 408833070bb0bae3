"""Writes a set of files so that a reader sees the old set or the new one, never a mixture.

As upstream's atomic writer: the files are in a directory of their own, `..data` is a symbolic link to it
that is swapped by rename, and the visible names are links through `..data`.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

DATA = "..data"


@dataclass(frozen=True, slots=True)
class File:
    """The content and permission bits of one file."""

    content: bytes
    mode: int = 0o644


def write(directory: Path, files: Mapping[str, File], group: int | None = None) -> bool:
    """Makes `directory` hold exactly `files` (relative paths); False if it did already."""
    directory.mkdir(parents=True, exist_ok=True)
    current = directory / DATA
    if current.exists() and _holds(current, files):
        return False
    stamp = datetime.now(UTC).strftime("..%Y_%m_%d_%H_%M_%S.")
    fresh = Path(tempfile.mkdtemp(prefix=stamp, dir=directory))
    fresh.chmod(0o755)
    for name, file in files.items():
        path = fresh / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode | (0o040 if group is not None else 0))
        if group is not None:
            os.chown(path, -1, group)
    previous = os.readlink(current) if current.is_symlink() else None
    link = directory / "..data_tmp"
    with suppress(FileNotFoundError):
        link.unlink()
    link.symlink_to(fresh.name)
    link.rename(current)
    _expose(directory, {name.split("/", 1)[0] for name in files})
    if previous:
        shutil.rmtree(directory / previous, ignore_errors=True)
    return True


def _expose(directory: Path, names: set[str]) -> None:
    for entry in directory.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in names:
            entry.unlink()
    for name in names:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"{DATA}/{name}")


def _holds(current: Path, files: Mapping[str, File]) -> bool:
    root = current.resolve()
    present = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    return present == set(files) and all((root / name).read_bytes() == file.content for name, file in files.items())
