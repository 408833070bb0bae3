"""Files that come into being whole: no reader, and no run after a kill, ever meets half of one.

There is no fsync here unless it is asked for: most of these files say what a running kernel holds, and do not
outlive it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_NO_NAMELESS_FILES = frozenset({errno.EOPNOTSUPP, errno.EISDIR})


def read(path: str | Path, size: int = 4096) -> bytes:
    """The beginning of a small file, without what Python's own file objects cost."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, size)
    finally:
        os.close(descriptor)


def create(path: Path, data: bytes, *, mode: int = 0o644, attributes: Mapping[str, str] | None = None) -> None:
    """Makes a file with its content and extended attributes; raises FileExistsError if there is one already.

    Of several who create the same path at once exactly one succeeds. Attributes that the file system cannot hold are
    left out.
    """
    if not data and not attributes:
        # An empty file is whole at once.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, mode))
        return
    try:
        descriptor = os.open(path.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno not in _NO_NAMELESS_FILES:
            raise
        _create_by_link(path, data, mode)
        return
    try:
        for name, value in (attributes or {}).items():
            _set_attribute(descriptor, name, value)
        _write(descriptor, data)
        # Only with a directory given does Python make the call that follows the link to the nameless file.
        os.link(f"/proc/self/fd/{descriptor}", path, src_dir_fd=descriptor)
    finally:
        os.close(descriptor)


def replace(path: Path, data: bytes, *, mode: int = 0o644, durable: bool = False) -> None:
    """Makes a file or puts another in its place; `durable`, it is on the disk when this returns."""
    beside = _beside(path)
    descriptor = os.open(beside, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, mode)
    try:
        try:
            _write(descriptor, data)
            if durable:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(beside, path)
    except BaseException:
        remove(beside)
        raise
    if durable:
        _sync_directory(path.parent)


def overwrite(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Writes over a file in place, which is cheaper; for content that may be lost or torn, such as a hint."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, mode)
    try:
        os.write(descriptor, data)
        os.ftruncate(descriptor, len(data))
    finally:
        os.close(descriptor)


def _write(descriptor: int, data: bytes) -> None:
    """All of it: on a disk that gets full a write takes what fits, and only the next one is refused."""
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _create_by_link(path: Path, data: bytes, mode: int) -> None:
    beside = _beside(path)
    replace(beside, data, mode=mode)
    try:
        os.link(beside, path)
    finally:
        beside.unlink()


def _set_attribute(descriptor: int, name: str, value: str) -> None:
    try:
        os.setxattr(descriptor, name, value.encode())
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:
            raise


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")


def remove(path: Path) -> None:
    """Removes a file; absent is no error."""
    with suppress(FileNotFoundError):
        os.unlink(path)
