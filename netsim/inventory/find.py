"""Finds what is marked."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from netsim import link, loop, namespace, pins
from netsim.errors import KernelError
from netsim.inventory import places
from netsim.inventory.processes import find_processes
from netsim.mark import Mark
from netsim.namespace import namespace_path
from netsim.netlink import Netlink
from netsim.vpc import uplink

_ONE = {"processes": "process", "directories": "directory"}


@dataclass(frozen=True, slots=True)
class Namespace:
    """A pinned, marked network namespace; `inode` is 0 for a pin that was never completed."""

    name: str
    mark: Mark
    inode: int


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is marked, of one cluster or of all, in the order in which it is found."""

    namespaces: tuple[Namespace, ...] = ()
    processes: tuple[int, ...] = ()
    links: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    loops: tuple[str, ...] = ()
    cgroups: tuple[Path, ...] = ()
    directories: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return any(self._parts().values())

    def __str__(self) -> str:
        counted = (
            f"{len(things)} {_ONE.get(word, word[:-1]) if len(things) == 1 else word}"
            for word, things in self._parts().items()
            if things
        )
        return ", ".join(counted) or "nothing"

    def describe(self) -> list[str]:
        """Each thing in words."""
        return [
            *(f"namespace {found.name}" for found in self.namespaces),
            *(f"process {pid}" for pid in self.processes),
            *(f"link {name}" for name in self.links),
            *(f"nft table {name}" for name in self.tables),
            *(f"mount {point}" for point in self.mounts),
            *(f"loop device {device}" for device in self.loops),
            *(f"cgroup {path}" for path in self.cgroups),
            *(f"directory {path}" for path in self.directories),
        ]

    def _parts(self) -> dict[str, tuple[object, ...]]:
        return {
            "namespaces": self.namespaces,
            "processes": self.processes,
            "host links": self.links,
            "host rules": self.tables,
            "mounts": self.mounts,
            "loop devices": self.loops,
            "cgroups": self.cgroups,
            "directories": self.directories,
        }


def find(cluster: str | None = None) -> Inventory:
    """Everything that is marked as the cluster's, or as any cluster's."""
    marked = find_namespaces(None)
    directories = places.directories(cluster)
    owners = {found.inode: found.mark.cluster for found in marked if found.inode}
    with Netlink() as host:
        links = [(found.ifname, Mark.parse(found.alias)) for found in link.list_links(host)]
    return Inventory(
        namespaces=tuple(found for found in marked if cluster in (None, found.mark.cluster)),
        processes=tuple(find_processes(cluster, owners)),
        links=tuple(name for name, mark in links if mark is not None and cluster in (None, mark.cluster)),
        tables=tuple(name for name, owner in uplink.marked_tables().items() if cluster in (None, owner)),
        mounts=tuple(places.mounts(directories)),
        loops=tuple(loop.below(places.roots(cluster))),
        cgroups=tuple(places.cgroups(cluster)),
        directories=tuple(directories),
    )


def clusters() -> list[str]:
    """The names of all clusters of which there is anything, running or left over."""
    marked = find_namespaces(None)
    names = {found.mark.cluster for found in marked}
    names |= set(find_processes(None, {found.inode: found.mark.cluster for found in marked if found.inode}).values())
    names |= {path.name for path in (*places.directories(None), *places.cgroups(None))}
    names |= set(uplink.marked_tables().values())
    with Netlink() as host:
        names |= {mark.cluster for found in link.list_links(host) if (mark := Mark.parse(found.alias)) is not None}
    return sorted(names)


def find_namespaces(cluster: str | None) -> list[Namespace]:
    """The marked namespaces under /run/netns; others' are looked into and left alone."""
    # In a thread of its own: where a process's first thread is, the process is held to be, and would be ended with
    # another cluster whose namespace it only looks into.
    with ThreadPoolExecutor(1, "inventory") as pool:
        return pool.submit(_find_namespaces, cluster).result()


def _find_namespaces(cluster: str | None) -> list[Namespace]:
    found = []
    for name in namespace.list_names():
        path = namespace_path(name)
        mark, inode = _look_into(path) if pins.is_pinned(path) else (Mark.parse(pins.read_file_mark(path)), 0)
        if mark is not None and cluster in (None, mark.cluster):
            found.append(Namespace(name, mark, inode))
    return found


def _look_into(path: Path) -> tuple[Mark | None, int]:
    try:
        return namespace.read_mark(path), os.stat(path).st_ino
    except (KernelError, FileNotFoundError):
        # Another kind of namespace, or it went this moment: in either case not ours to remove.
        return None, 0
