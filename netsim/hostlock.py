"""Locks on directories of the host, held while something that clusters share is changed.

A lock is on a directory that every process sees, so it leaves no file behind. Anybody who can open the directory
can hold it too; so nobody waits for ever, and who waited in vain is told by whom it is held.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from netsim import syscalls
from netsim.errors import LockTimeout

WAIT_SECONDS = 30.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.05
_LOCKS = Path("/proc/locks")


@contextmanager
def held(directory: Path, *, shared: bool = False) -> Iterator[None]:
    """Holds the lock on `directory` inside the block, alone or with others who share it.

    Raises `LockTimeout`, which names the holder, when it is not to be had within `WAIT_SECONDS`. Blocks the thread.
    """
    with syscalls.opened(str(directory)) as descriptor:
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        deadline, pause = time.monotonic() + WAIT_SECONDS, _FIRST_PAUSE
        while not _taken(descriptor, kind):
            if time.monotonic() > deadline:
                raise LockTimeout(str(directory), WAIT_SECONDS, holders(descriptor))
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        yield


def holders(descriptor: int) -> list[str]:
    """Who has a lock on what `descriptor` is open on, in words, as far as /proc tells."""
    status = os.fstat(descriptor)
    place = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    try:
        lines = [line.split() for line in _LOCKS.read_text().splitlines()]
    except OSError:
        return []
    # One who waits for it has "->" in the second field, and so does not match.
    pids = [int(fields[4]) for fields in lines if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place]
    # A process of another pid namespace is shown as 0 or -1.
    return [_describe(pid) for pid in dict.fromkeys(pids) if pid > 0]


def _taken(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _describe(pid: int) -> str:
    process = Path(f"/proc/{pid}")
    try:
        return f"process {pid} ({(process / 'comm').read_text().strip()}) of user {process.stat().st_uid}"
    except OSError:
        return f"process {pid}, which has ended"
