"""A lock per directory, so that two netsim commands do not work on one cluster at once.

The lock is taken on the directory itself and leaves no file behind. A directory that was removed and made anew
while we waited is another one: then we wait for that.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controlplane.directories import PRIVATE
from workbench.cli.errors import UserError

WAIT_SECONDS = 60.0
POLL_SECONDS = 0.02


@contextmanager
def locked(directory: Path, *, create: bool = False) -> Iterator[bool]:
    """Hold the lock of a directory; False, holding nothing, if it does not exist and is not to be created.

    UserError when another command holds it for more than a minute.
    """
    descriptor = _lock(directory, create=create)
    try:
        yield descriptor is not None
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _lock(directory: Path, *, create: bool) -> int | None:
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        try:
            if create:
                directory.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            if create:
                continue  # it was removed since; make it again
            return None
        if _taken(descriptor) and _is_still(directory, descriptor):
            return descriptor
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise UserError(f"another netsim command has been working on {directory} for a minute", "wait for it")
        time.sleep(POLL_SECONDS)


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_still(directory: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(directory.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
