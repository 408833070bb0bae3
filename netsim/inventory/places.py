"""The directories, mounts and cgroups of clusters: everything of theirs that has a path."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

RUNTIME_ROOT = Path("/run/netsim")
STATE_ROOT = Path("/var/lib/netsim/clusters")
CGROUP = "netsim"

_ESCAPE = re.compile(r"\\([0-7]{3})")


def directories_of(cluster: str) -> tuple[Path, Path]:
    """A cluster's runtime and persistent directory."""
    return RUNTIME_ROOT / cluster, STATE_ROOT / cluster


def directories(cluster: str | None) -> list[Path]:
    """The directories of a cluster, or of all, that exist."""
    if cluster is not None:
        return [path for path in directories_of(cluster) if path.is_dir()]
    return [path for root in (RUNTIME_ROOT, STATE_ROOT) for path in _children(root) if path.is_dir()]


def mounts(under: list[Path]) -> list[str]:
    """The mount points at or below any of these directories, the latest first."""
    prefixes = tuple(f"{path}/" for path in under)
    found = [point for point, _kind in _mountinfo() if f"{point}/".startswith(prefixes)] if prefixes else []
    return found[::-1]


def cgroups(cluster: str | None) -> list[Path]:
    """The cluster's directory in each cgroup hierarchy, or those of all clusters."""
    roots = [Path(point) / CGROUP for point, kind in _mountinfo() if kind in ("cgroup", "cgroup2")]
    if cluster is not None:
        return [path for root in roots if (path := root / cluster).is_dir()]
    return [path for root in roots for path in _children(root) if path.is_dir()]


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


def _mountinfo() -> Iterator[tuple[str, str]]:
    with open("/proc/thread-self/mountinfo") as file:
        for line in file:
            head, _, tail = line.partition(" - ")
            yield _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), head.split(" ")[4]), tail.split(" ", 1)[0]


def _children(root: Path) -> list[Path]:
    try:
        return sorted(root.iterdir())
    except FileNotFoundError:
        return []
