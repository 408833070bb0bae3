"""The processes of clusters: how they are told from others, and their end."""

from __future__ import annotations

import itertools
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping

from netsim.inventory.places import cluster_of_cgroup

ENVIRONMENT = "NETSIM_CLUSTER"
"""Set to the cluster's name in the environment of every process that a daemon starts outside of containers."""

_AT_ONCE = 200
_LIMIT_SECONDS = 10.0
_VARIABLE = f"{ENVIRONMENT}=".encode()


def find_processes(cluster: str | None, namespaces: Mapping[int, str]) -> dict[int, str]:
    """The processes of a cluster, or of all, as pid to cluster; `namespaces` are the marked ones by inode.

    The calling process and those that it descends from are left out, whatever they carry.
    """
    spared = set(_ancestry(os.getpid()))
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in spared:
            continue
        owner = _owner(entry, namespaces)
        if owner is not None and cluster in (None, owner):
            found[int(entry)] = owner
    return found


def end(cluster: str, namespaces: Mapping[int, str], ended: Callable[[int, int], None]) -> tuple[int, list[int]]:
    """Kills a cluster's processes and waits until they are gone, telling how many of how many are.

    Returns how many there were, and those that would not go.
    """
    found = find_processes(cluster, namespaces)
    waiting = iter(found)
    left: list[int] = []
    gone = 0
    while some := list(itertools.islice(waiting, _AT_ONCE)):
        remaining = _end_together(some, cluster, namespaces)
        left += remaining
        gone += len(some) - len(remaining)
        ended(gone, len(found))
    return len(found), left


def _owner(pid: str, namespaces: Mapping[int, str]) -> str | None:
    base = f"/proc/{pid}"
    try:
        inode = os.stat(f"{base}/ns/net").st_ino
        if inode in namespaces:
            return namespaces[inode]
        with open(f"{base}/cgroup") as file:
            owner = cluster_of_cgroup(file.read())
        if owner is not None:
            return owner
        with open(f"{base}/environ", "rb") as environ:
            for variable in environ.read().split(b"\0"):
                if variable.startswith(_VARIABLE):
                    return variable.removeprefix(_VARIABLE).decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        # It ended while it was looked at, or is a zombie, which holds nothing.
        return None
    return None


def _ancestry(pid: int) -> Iterable[int]:
    while pid > 0:
        yield pid
        try:
            with open(f"/proc/{pid}/stat") as file:
                pid = int(file.read().rpartition(")")[2].split()[1])
        except FileNotFoundError:
            # It ended while it was looked at; whose child we are now was not the one who asked.
            return


def _end_together(pids: list[int], cluster: str, namespaces: Mapping[int, str]) -> list[int]:
    poll, waiting, killed = select.poll(), {}, set()
    try:
        for pid in pids:
            try:
                descriptor = os.pidfd_open(pid)
                waiting[descriptor] = pid
                if _owner(str(pid), namespaces) != cluster:
                    # The number was given to another process before the descriptor held it.
                    continue
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                poll.register(descriptor, select.POLLIN)
                killed.add(descriptor)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + _LIMIT_SECONDS
        alive = set(killed)
        while alive and (remaining := deadline - time.monotonic()) > 0:
            for descriptor, _event in poll.poll(remaining * 1000):
                poll.unregister(descriptor)
                alive.discard(descriptor)
        return [waiting[descriptor] for descriptor in alive]
    finally:
        for descriptor in waiting:
            os.close(descriptor)
