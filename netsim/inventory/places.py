"""The directories, mounts and cgroups of clusters: everything of theirs that has a path."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

RUNTIME_ROOT = Path("/run/netsim")
STATE_ROOT = Path("/var/lib/netsim/clusters")
CGROUP = "netsim"

_ESCAPE = re.compile(r"\\([0-7]{3})")


class _Mount(NamedTuple):
    point: str
    kind: str
    device: str
    root: str


def directories_of(cluster: str) -> tuple[Path, Path]:
    """A cluster's runtime and persistent directory."""
    return RUNTIME_ROOT / cluster, STATE_ROOT / cluster


def directories(cluster: str | None) -> list[Path]:
    """The directories of a cluster, or of all, that exist."""
    if cluster is not None:
        return [path for path in directories_of(cluster) if path.is_dir()]
    return [path for root in (RUNTIME_ROOT, STATE_ROOT) for path in _children(root) if path.is_dir()]


def roots(cluster: str | None) -> tuple[Path, ...]:
    """Where everything of a cluster, or of all, lies or has lain."""
    return directories_of(cluster) if cluster is not None else (RUNTIME_ROOT, STATE_ROOT)


def mounts(under: list[Path]) -> list[str]:
    """The mount points at or below any of these directories, the latest first."""
    prefixes = tuple(f"{path}/" for path in under)
    found = [mount.point for mount in _mounted() if f"{mount.point}/".startswith(prefixes)] if prefixes else []
    return found[::-1]


def cgroups(cluster: str | None) -> list[Path]:
    """The cluster's directory in each cgroup hierarchy, or those of all clusters."""
    roots = [hierarchy / CGROUP for hierarchy in cgroup_hierarchies()]
    if cluster is not None:
        return [path for root in roots if (path := root / cluster).is_dir()]
    return [path for root in roots for path in _children(root) if path.is_dir()]


def cgroup_hierarchies() -> list[Path]:
    """Where each cgroup hierarchy of the host is mounted, of either version, once if it is mounted several times."""
    whole = [mount for mount in _mounted() if mount.kind in ("cgroup", "cgroup2") and mount.root == "/"]
    return [Path(point) for point in {mount.device: mount.point for mount in reversed(whole)}.values()]


def cluster_of_cgroup(text: str) -> str | None:
    """The cluster that a /proc/<pid>/cgroup says the process belongs to."""
    for line in text.splitlines():
        parts = line.split(":", 2)[-1].split("/")
        if len(parts) > 2 and parts[1] == CGROUP:
            return parts[2]
    return None


def remove_tree_of_cgroups(top: Path) -> None:
    """Removes a cgroup and those below, deepest first. Raises OSError while a process is in one of them."""
    for directory, _subdirectories, _files in os.walk(top, topdown=False):
        with suppress(FileNotFoundError):
            os.rmdir(directory)


def _mounted() -> Iterator[_Mount]:
    with open("/proc/thread-self/mountinfo") as file:
        for line in file:
            head, _, tail = line.partition(" - ")
            _id, _parent, device, root, point = head.split(" ")[:5]
            unescaped = _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), point)
            yield _Mount(unescaped, tail.split(" ", 1)[0], device, root)


def _children(root: Path) -> list[Path]:
    try:
        return sorted(path for path in root.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
