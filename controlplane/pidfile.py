"""One daemon per cluster, and a way to know whether it runs that a crash cannot falsify.

The daemon holds a lock on its pid file for as long as it lives. The kernel drops the lock with
the process, so a file left by a dead daemon, or a pid that now belongs to another program, never
passes for a running one. Looking does not lock, so it never keeps a daemon from starting.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path

_FLOCK = struct.Struct("hhqqi4x")
"""`struct flock` of 64-bit Linux: type, whence, start, length, pid."""
_WHOLE_FILE = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)


class AlreadyRunning(Exception):
    """Another daemon holds the lock."""


class PidFile:
    """Held from `acquire` until the process ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1

    def acquire(self) -> None:
        """Locks the file and writes this process' id; raises AlreadyRunning."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _WHOLE_FILE)
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(str(self._path)) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor


def running_pid(path: Path) -> int | None:
    """The id of the daemon that holds the lock on `path`, None when none does."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _WHOLE_FILE)
        if _FLOCK.unpack(found)[0] == fcntl.F_UNLCK:
            return None
        text = os.read(descriptor, 32).decode().strip()
        return int(text) if text else None
    finally:
        os.close(descriptor)
