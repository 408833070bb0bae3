"""The container cgroups of a cluster: `/netsim/<cluster>/<node>/pod<uid>/<container>` in every hierarchy.

The OCI runtime makes them; removing them here costs a few rmdir calls instead of a `crun delete`.
"""

from __future__ import annotations

import errno
import functools
import os
from collections.abc import Iterator
from pathlib import Path

from controlplane.node.errors import RuntimeFailure
from controlplane.node.runtime.spawner import CGROUP_ROOT

TOP = "/netsim"


@functools.cache
def hierarchies() -> tuple[Path, ...]:
    """The mount points that hold container cgroups: one on v2, one per controller on v1 and hybrid."""
    if unified():
        return (CGROUP_ROOT,)
    return tuple(
        path for path in sorted(CGROUP_ROOT.iterdir()) if not path.is_symlink() and (path / "cgroup.procs").exists()
    )


def directory(controller: str, cgroup: str) -> Path:
    """Where the files of one controller are for a cgroup, whether or not it is there."""
    roots = [path for path in hierarchies() if unified() or controller in path.name.split(",")]
    return (roots[0] if roots else CGROUP_ROOT) / cgroup.lstrip("/")


def present(cgroup: str) -> Path:
    """Where a cgroup is in the first hierarchy that has it, or in which it would be."""
    found = [root / cgroup.lstrip("/") for root in hierarchies()]
    return next((path for path in found if path.is_dir()), found[0])


def unified() -> bool:
    """Whether this is a pure v2 host, where containers get a cgroup namespace and see their own part."""
    return (CGROUP_ROOT / "cgroup.controllers").exists()


def require() -> None:
    """Raises RuntimeFailure, with what to do, where no cgroups are mounted."""
    if not hierarchies():
        raise RuntimeFailure(
            f"containers need cgroups, and none are mounted at {CGROUP_ROOT}: mount -t cgroup2 none {CGROUP_ROOT}"
        )


@functools.cache
def controllers() -> frozenset[str]:
    """The controllers that limits can be set with."""
    if unified():
        return frozenset((CGROUP_ROOT / "cgroup.controllers").read_text().split())
    return frozenset(name for path in hierarchies() for name in path.name.split(","))


def node_cgroup(cluster: str, node: str) -> str:
    """The cgroup of all pods of a node."""
    return f"{TOP}/{cluster}/{node}"


def pod_cgroup(cluster: str, node: str, pod_uid: str) -> str:
    """The cgroup of a pod, the same path in every hierarchy."""
    return f"{node_cgroup(cluster, node)}/pod{pod_uid}"


def container_cgroup(cluster: str, node: str, pod_uid: str, container_id: str) -> str:
    """The cgroup of a container, below its pod's."""
    return f"{pod_cgroup(cluster, node, pod_uid)}/{container_id}"


def remove(cgroup: str) -> None:
    """Removes a cgroup and those below it; one that is absent or still has processes is left."""
    for root in hierarchies():
        directory = os.path.join(root, cgroup.lstrip("/"))
        for child in _deepest_first(directory):
            try:
                os.rmdir(child)
            except OSError as error:
                if error.errno not in (errno.ENOENT, errno.EBUSY, errno.ENOTEMPTY):
                    raise


def processes(cgroup: str) -> list[int]:
    """The processes of a cgroup and of those below it, in the first hierarchy that has it."""
    for root in hierarchies():
        directory = os.path.join(root, cgroup.lstrip("/"))
        if os.path.isdir(directory):
            return [pid for below in _deepest_first(directory) for pid in _members(below)]
    return []


def holds(pid: int, cgroup: str) -> bool:
    """Whether process `pid` lives and is in `cgroup` or below: guards against a pid used again."""
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return any(line.split(":", 2)[2].startswith(cgroup) for line in text.splitlines())


def _members(directory: str) -> list[int]:
    try:
        return [int(line) for line in Path(directory, "cgroup.procs").read_text().split()]
    except OSError as error:
        # Gone meanwhile, or threaded: the processes of those are listed above it.
        if error.errno not in (errno.ENOENT, errno.ENODEV, errno.EOPNOTSUPP):
            raise
        return []


def _deepest_first(directory: str) -> Iterator[str]:
    try:
        children = [entry.path for entry in os.scandir(directory) if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return
    for child in children:
        yield from _deepest_first(child)
    yield directory
