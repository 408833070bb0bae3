"""What the containers of a node use, read from their cgroups now and then: the kubelet's part of resource metrics.

CPU is the average between two looks, for a container that is new since its start. Memory is the working set: what is
used less the file pages that the kernel would give up first. All cgroup layouts are read as they are.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from controlplane.node.runtime import cgroups
from controlplane.node.runtime.spawner import Spawner
from controlplane.node.state import PodState

PERIOD_SECONDS = 15.0
FIRST_WINDOW_SECONDS = 2.0
SHORTEST_WINDOW_SECONDS = 0.5

ContainerId = tuple[str, str, str]
"""Namespace and name of the pod, name of the container."""


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu` in cores over the last `window` seconds, `memory` in bytes, seen `at` epoch seconds."""

    cpu: float
    memory: int
    at: float
    window: float


@dataclass(frozen=True, slots=True)
class _Target:
    """A cgroup to look at; `started` in epoch seconds, 0 where that is not known."""

    cgroup: str
    started: float


class UsageMeter:
    """The use of one node and of its containers; `states` gives the node's pods."""

    def __init__(
        self,
        cgroup: str,
        states: Callable[[], Iterable[PodState]],
        spawner: Spawner,
        *,
        period: float = PERIOD_SECONDS,
    ) -> None:
        self.node: Usage | None = None
        self.containers: dict[ContainerId, Usage] = {}
        self._cgroup = cgroup
        self._states = states
        self._spawner = spawner
        self._period = period
        self._seen: dict[str, tuple[float, float]] = {}

    async def run(self) -> None:
        """Looks until cancelled; soon after the first time, which the node's own use needs to be an average of."""
        await self.look()
        await asyncio.sleep(min(FIRST_WINDOW_SECONDS, self._period))
        while True:
            await self.look()
            await asyncio.sleep(self._period)

    async def look(self) -> None:
        """Looks once."""
        targets = {
            (state.namespace, state.name, container.name): _Target(current.record.cgroup, current.started or 0.0)
            for state in self._states()
            for container in state.containers.values()
            if (current := container.current) is not None and current.running
        }
        self.node, self.containers = await self._spawner.files(self._measure, targets)

    def _measure(self, targets: dict[ContainerId, _Target]) -> tuple[Usage | None, dict[ContainerId, Usage]]:
        before, self._seen = self._seen, {}
        measured = {key: self._one(target, before) for key, target in targets.items()}
        return self._one(_Target(self._cgroup, 0.0), before), {key: use for key, use in measured.items() if use}

    def _one(self, target: _Target, before: dict[str, tuple[float, float]]) -> Usage | None:
        now, spent, memory = time.time(), cpu_seconds(target.cgroup), working_set(target.cgroup)
        if spent is None or memory is None:
            return None
        since, was = before.get(target.cgroup, (target.started, 0.0))
        self._seen[target.cgroup] = now, spent
        if not since or now - since < SHORTEST_WINDOW_SECONDS:
            return None
        return Usage(max(spent - was, 0.0) / (now - since), memory, now, now - since)


def cpu_seconds(cgroup: str) -> float | None:
    """The CPU time that a cgroup has had; None if it is gone, or the host does not count."""
    if cgroups.unified():
        found = _field(cgroups.directory("cpu", cgroup) / "cpu.stat", "usage_usec")
        return found / 1e6 if found is not None else None
    found = _number(cgroups.directory("cpuacct", cgroup) / "cpuacct.usage")
    return found / 1e9 if found is not None else None


def working_set(cgroup: str) -> int | None:
    """The bytes of memory that a cgroup cannot well do without; None if it is gone, or the host does not count."""
    directory = cgroups.directory("memory", cgroup)
    if cgroups.unified():
        used, idle = _number(directory / "memory.current"), _field(directory / "memory.stat", "inactive_file")
    else:
        used = _number(directory / "memory.usage_in_bytes")
        idle = _field(directory / "memory.stat", "total_inactive_file")
    return None if used is None else max(used - (idle or 0), 0)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _field(path: Path, name: str) -> int | None:
    try:
        text = path.read_text()
    except OSError:
        return None
    for line in text.splitlines():
        key, _, value = line.partition(" ")
        if key == name:
            return int(value)
    return None
