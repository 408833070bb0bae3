"""What a node has mounted for its pods: each disk once, for as long as a pod of the node uses it.

    <run>/staged/<store>-<disk>/mount        where the disk is mounted, in the cluster's mount namespace only
    <run>/staged/<store>-<disk>/pods/<uid>   a pod that uses it

The files say who uses what, so the next daemon knows; the kernel says what is mounted. Pods are written down before the
mount is made and struck off after it is gone: killed in between, nothing is left that nobody remembers.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakValueDictionary

from controlplane.node.config import DISKS, EXPORTS
from controlplane.node.errors import VolumeFailure
from controlplane.node.runtime.spawner import Spawner
from netsim import syscalls
from netsim.disks import Disks
from netsim.errors import InvalidRequest, NetsimError, NotFound
from netsim.mountspace import is_mount_point

DEFAULT_FILE_SYSTEM = "ext4"
MOST_MOUNTS = 8
"""One over the other on the same directory."""
_NOBODY = ""
"""Stands for a pod where none is written down."""
__all__ = ["DEFAULT_FILE_SYSTEM", "DISKS", "EXPORTS", "Mount", "Staging", "let_go"]


@dataclass(frozen=True, slots=True)
class Mount:
    """What is to be mounted: a disk of one of the stores, and how."""

    store: str
    disk: str
    filesystem: str = DEFAULT_FILE_SYSTEM
    options: Sequence[str] = ()

    @property
    def key(self) -> str:
        return f"{self.store}-{self.disk}"


class Staging:
    """The staged disks of one node, below `directory`; `stores` are the disks by the name of their store."""

    def __init__(self, directory: Path, stores: Mapping[str, Disks], spawner: Spawner) -> None:
        self._directory = directory
        self._stores = stores
        self._spawner = spawner
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._users: dict[str, set[str]] = {}
        self.changed = asyncio.Event()
        """Set whenever a disk comes into use, or is no longer."""

    def store(self, name: str) -> Disks:
        """The disks of a store."""
        return self._stores[name]

    async def mount(self, wanted: Mount, pod_uid: str) -> tuple[Path, bool]:
        """Where the disk is mounted, for a pod; and whether the pod is new to it. VolumeFailure with what is wrong."""
        target = self._place(wanted.key) / "mount"
        disks = self._stores[wanted.store]

        def prepare() -> None:
            disks.prepare(wanted.disk, wanted.filesystem)

        def mount() -> None:
            if not is_mount_point(str(target)):
                disks.mount(wanted.disk, target, options=wanted.options)

        async with self._lock(wanted.key):
            users = self._users.setdefault(wanted.key, set())
            new = pod_uid not in users
            if new or not await self._spawner.mounts(lambda: is_mount_point(str(target))):
                await self._write_down(wanted.key, pod_uid)
                try:
                    await self._spawner.files(prepare)
                    await self._spawner.mounts(mount)
                except (NetsimError, OSError) as error:
                    raise VolumeFailure(str(error)) from error
        return target, new

    async def attach(self, wanted: Mount, pod_uid: str) -> str:
        """The block device of a disk, for a pod; VolumeFailure with what is wrong."""
        async with self._lock(wanted.key):
            await self._write_down(wanted.key, pod_uid)
            try:
                return await self._spawner.files(self._stores[wanted.store].attach, wanted.disk)
            except (NetsimError, OSError) as error:
                raise VolumeFailure(str(error)) from error

    async def grow(self, wanted: Mount) -> None:
        """Has a mounted file system fill its disk; raises NetsimError."""
        target = self._place(wanted.key) / "mount"
        await self._spawner.mounts(lambda: self._stores[wanted.store].grow_filesystem(wanted.disk, target))

    async def release(self, pod_uid: str) -> list[str]:
        """Unmounts what only this pod used; returns the keys of what is no longer used on the node."""
        gone = []
        for key in [key for key, users in self._users.items() if pod_uid in users]:
            async with self._lock(key):
                users = self._users[key]
                if users == {pod_uid}:
                    await self._take_away(key)
                    gone.append(key)
                users.discard(pod_uid)
                if not users:
                    del self._users[key]
                    self.changed.set()
                await self._spawner.files(self._strike_off, key, pod_uid)
        return gone

    async def adopt(self) -> set[str]:
        """Takes over what an earlier daemon left; the pods that it is for, each to be released once it is no more."""
        self._users = await self._spawner.files(self._read)
        for key in [key for key, users in self._users.items() if not users]:
            self._users[key] = {_NOBODY}
        await self.release(_NOBODY)
        return set().union(*self._users.values())

    def in_use(self) -> list[str]:
        """The keys of what pods use now."""
        return sorted(self._users)

    def _lock(self, key: str) -> asyncio.Lock:
        """The lock of a disk; there is one for as long as somebody holds it or waits for it."""
        return self._locks.setdefault(key, asyncio.Lock())

    async def _write_down(self, key: str, pod_uid: str) -> None:
        self._users.setdefault(key, set()).add(pod_uid)
        self.changed.set()
        place = self._place(key)

        def write() -> None:
            (place / "mount").mkdir(parents=True, exist_ok=True)
            (place / "pods").mkdir(exist_ok=True)
            (place / "pods" / pod_uid).touch()

        await self._spawner.files(write)

    async def _take_away(self, key: str) -> None:
        target = str(self._place(key) / "mount")

        def unmount() -> None:
            # One over the other, if a mount was made twice around a kill.
            for _ in range(MOST_MOUNTS):
                if not is_mount_point(target):
                    return
                with suppress(NotFound, InvalidRequest):
                    syscalls.unmount(target)
            raise VolumeFailure(f"{target} cannot be unmounted")

        await self._spawner.mounts(unmount)
        with suppress(NetsimError):
            await self._spawner.files(_detach, self._directory, key, self._stores)

    def _strike_off(self, key: str, pod_uid: str) -> None:
        place = self._place(key)
        with suppress(FileNotFoundError):
            if pod_uid != _NOBODY:
                os.unlink(place / "pods" / pod_uid)
        if not _users_in(place):
            # Seen from the host there is nothing in it, whatever is mounted.
            with suppress(FileNotFoundError):
                shutil.rmtree(place)

    def _read(self) -> dict[str, set[str]]:
        found = {}
        with suppress(FileNotFoundError):
            for key in os.listdir(self._directory):
                found[key] = _users_in(self._directory / key)
        return found

    def _place(self, key: str) -> Path:
        return self._directory / key


def let_go(directory: Path, stores: Mapping[str, Disks]) -> None:
    """Takes the block devices away that a node had which is off; its mounts go with their directories."""
    with suppress(FileNotFoundError):
        for key in os.listdir(directory):
            with suppress(NetsimError):
                _detach(directory, key, stores)


def _detach(directory: Path, key: str, stores: Mapping[str, Disks]) -> None:
    """Detaches a disk, unless another node of this host has it too: they share its device."""
    node = directory.parent
    if any(_users_in(other / directory.name / key) for other in node.parent.iterdir() if other != node):
        return
    store, _, disk = key.partition("-")
    stores[store].detach(disk)


def _users_in(place: Path) -> set[str]:
    """The pods that are written down for a disk; none too where a kill left half of its directory."""
    try:
        return set(os.listdir(place / "pods"))
    except FileNotFoundError:
        return set()
