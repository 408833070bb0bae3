"""A mount namespace that outlives the process that made it: what is mounted in it, the host never sees.

It starts as a copy of the host's mounts and goes on to receive the host's new ones, but nothing goes the other way. So
the host's mount table does not grow with every container, no clean-up of a path on the host can descend into what is
mounted here, and all of it ends with the pin. A directory that is removed on the host takes the mounts on it along.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from netsim import pins, syscalls
from netsim.errors import InvalidRequest, NetsimError, translated

_OWN = "/proc/thread-self/ns/mnt"


class MountSpace:
    """The namespace pinned at `pin`; without one, it ends with the last thread or process in it.

    `prepare` runs in it once, when it is made.
    """

    def __init__(self, pin: Path | None = None, prepare: Callable[[], None] | None = None) -> None:
        self.pin = pin
        self._prepare = prepare
        self._lock = threading.Lock()
        self._inside = threading.local()
        self._descriptor: int | None = None

    def enter(self) -> None:
        """Moves the calling thread into the namespace for good; it is made if there is none."""
        if getattr(self._inside, "value", False):
            return
        with self._lock:
            if self._descriptor is None:
                self._descriptor = self._opened()
        # A thread shares its working directory with the others until it is told not to.
        syscalls.unshare(syscalls.CLONE_FS)
        syscalls.setns(self._descriptor, syscalls.CLONE_NEWNS)
        self._inside.value = True

    def close(self) -> None:
        """Lets go of it; the threads that are in it stay there."""
        with self._lock:
            descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _opened(self) -> int:
        if self.pin is None:
            return self._made()
        _make_private(self.pin.parent)
        if pins.is_pinned(self.pin):
            return _open(str(self.pin))
        return self._made_and_pinned(self.pin)

    def _made_and_pinned(self, pin: Path) -> int:
        # A mount namespace can be pinned in an older one only, and Linux 6.18 hands out what it tells their age by to
        # each CPU in batches: seen from a namespace other than the host's first, those of some CPU may all be older.
        allowed = os.sched_getaffinity(0)
        *others, last = sorted(allowed)
        try:
            for cpu in others:
                with suppress(InvalidRequest):
                    return self._made_on(cpu, pin)
            return self._made_on(last, pin)
        finally:
            os.sched_setaffinity(0, allowed)

    def _made_on(self, cpu: int, pin: Path) -> int:
        os.sched_setaffinity(0, {cpu})
        made = self._made()
        try:
            pins.pin(f"/proc/thread-self/fd/{made}", pin)
        except NetsimError:
            os.close(made)
            raise
        return made

    def _made(self) -> int:
        """A descriptor of a new namespace; the calling thread is back where it was afterwards."""
        with syscalls.opened(_OWN) as home:
            syscalls.unshare(syscalls.CLONE_NEWNS)
            try:
                syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
                # So that what is mounted here reaches those who ask for it; the host is no longer among them.
                syscalls.mount("", "/", flags=syscalls.MS_REC | syscalls.MS_SHARED)
                if self._prepare is not None:
                    self._prepare()
                return _open(_OWN)
            finally:
                syscalls.setns(home, syscalls.CLONE_NEWNS)


def _open(path: str) -> int:
    with translated(f"open {path}"):
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _make_private(directory: Path) -> None:
    """Makes a directory a mount that does not propagate: a mount namespace can be pinned nowhere else."""
    with translated(f"make {directory}"):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        syscalls.mount("", str(directory), flags=syscalls.MS_PRIVATE)
    except InvalidRequest:
        syscalls.mount(str(directory), str(directory), flags=syscalls.MS_BIND)
        syscalls.mount("", str(directory), flags=syscalls.MS_PRIVATE)


def is_mount_point(path: str) -> bool:
    """Whether something is mounted on a directory, as the calling thread sees it; False where there is none."""
    try:
        return _mount_id(path) != _mount_id(os.path.dirname(path))
    except FileNotFoundError:
        return False


def _mount_id(path: str) -> str:
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        with open(f"/proc/thread-self/fdinfo/{descriptor}") as file:
            return next(line for line in file if line.startswith("mnt_id:"))
    finally:
        os.close(descriptor)
