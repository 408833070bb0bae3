"""Removes what is marked, in the one order that works.

Processes first, for they hold and make the rest; then what the host shows (link, rule, sysctls), so that the host
is itself again early; then pins, mounts and the loop devices that these held, and directories only when nothing is
mounted below them any more: a bind mount may lead to files that are not the cluster's. Each step is safe to repeat
after a kill.
"""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from netsim import loop, namespace, pins, syscalls
from netsim.errors import InvalidRequest, NotFound, RemovalIncomplete, translated
from netsim.inventory import places, processes
from netsim.inventory.find import Inventory, find, find_namespaces
from netsim.netlink import Netlink
from netsim.vpc import uplink

Progress = Callable[[str, int, int], None]
"""Told (what is being removed, how many are gone, how many there are)."""

_ROUNDS = 5
_CGROUP_SECONDS = 5.0
_PAUSE_SECONDS = 0.01
_LOOP_SECONDS = 10.0


def _quiet(_text: str, _done: int, _total: int) -> None:
    pass


def remove(cluster: str, progress: Progress = _quiet) -> Inventory:
    """Removes everything of a cluster; returns what there was. Nothing there is no error.

    Works with and without a daemon, and on what a killed run left. Raises `RemovalIncomplete` naming what stayed.
    """
    found = find(cluster)
    left = _end_processes(cluster, progress)
    with Netlink() as host:
        progress("host link and rules", 0, 1)
        uplink.release(host, cluster)
        progress("host link and rules", 1, 1)
    for done, entry in enumerate(found.namespaces, 1):
        namespace.delete_namespace(entry.name)
        progress("namespaces", done, len(found.namespaces))
    left += _remove_cgroups(cluster, progress)
    left += _remove_directories(cluster, progress)
    pins.remove_netns_directory()
    if left:
        raise RemovalIncomplete(left)
    return found


def _end_processes(cluster: str, progress: Progress) -> list[str]:
    """A process that is started while others are killed is met in the next round."""
    total = 0
    for _ in range(_ROUNDS):
        owners = {entry.inode: entry.mark.cluster for entry in find_namespaces(cluster) if entry.inode}
        number, stubborn = processes.end(cluster, owners, partial(_tell_ended, progress, total))
        if not number:
            return []
        total += number
        if stubborn:
            return [f"process {pid}" for pid in stubborn]
    return ["processes, which others keep starting"]


def _tell_ended(progress: Progress, before: int, gone: int, number: int) -> None:
    progress("processes", before + gone, before + number)


def _remove_cgroups(cluster: str, progress: Progress) -> list[str]:
    found, left = places.cgroups(cluster), []
    for done, path in enumerate(found, 1):
        if not _remove_cgroup(path):
            left.append(f"cgroup {path}")
        with suppress(OSError):
            path.parent.rmdir()
        progress("cgroups", done, len(found))
    return left


def _remove_cgroup(path: Path) -> bool:
    # A process that was killed leaves its cgroup a moment after it is gone.
    deadline = time.monotonic() + _CGROUP_SECONDS
    while True:
        try:
            places.remove_tree_of_cgroups(path)
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                return False
            time.sleep(_PAUSE_SECONDS)
        else:
            return True


def _remove_loops(cluster: str) -> list[str]:
    """Detaches what is attached, and waits for what goes by itself now that nobody mounts it."""
    deadline = time.monotonic() + _LOOP_SECONDS
    while found := loop.below(places.roots(cluster)):
        for device in found:
            loop.clear(device)
        if time.monotonic() > deadline:
            return [f"loop device {device} of {image}" for device, image in found.items()]
        time.sleep(_PAUSE_SECONDS)
    return []


def _remove_directories(cluster: str, progress: Progress) -> list[str]:
    directories = places.directories(cluster)
    for point in places.mounts(directories):
        with suppress(NotFound, InvalidRequest):
            syscalls.unmount(point)
    left = [f"mount {point}" for point in places.mounts(directories)] or _remove_loops(cluster)
    if left:
        return left
    for done, path in enumerate(directories, 1):
        with translated(f"remove {path}"):
            shutil.rmtree(path)
        progress("directories", done, len(directories))
    for parent in (places.RUNTIME_ROOT, places.STATE_ROOT, places.STATE_ROOT.parent):
        with suppress(OSError):
            os.rmdir(parent)
    return []
