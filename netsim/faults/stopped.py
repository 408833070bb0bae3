"""Processes of a cgroup that stand still, or are killed.

By signals, not by the freezer: a stopped process can be killed in every version of cgroups, so that nothing that is
frozen keeps a pod or a cluster from ending.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Memory = dict[str, Any]
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Stopped:
    """All processes of a cgroup and those below it, by its directory."""

    cgroup: str

    @property
    def netns(self) -> str:
        return ""

    @property
    def place(self) -> str:
        return self.cgroup

    @classmethod
    def restored(cls, saved: Mapping[str, Any]) -> Stopped:
        return cls(**saved)

    def look(self, fault: str) -> Memory:
        return {}

    def ensure(self, fault: str, memory: Memory) -> None:
        _signal(self.cgroup, signal.SIGSTOP)

    def undo(self, fault: str, memory: Memory) -> None:
        _signal(self.cgroup, signal.SIGCONT)


def kill(cgroup: str) -> int:
    """Kills all processes of a cgroup; returns how many there were."""
    return _signal(cgroup, signal.SIGKILL)


def _signal(cgroup: str, number: signal.Signals) -> int:
    """In several rounds, for what a process starts before the signal reaches it."""
    reached: set[int] = set()
    for _ in range(_ROUNDS):
        new = set(_members(Path(cgroup))) - reached
        if not new:
            break
        for pid in new:
            with suppress(ProcessLookupError):
                os.kill(pid, number)
        reached |= new
    return len(reached)


def _members(cgroup: Path) -> list[int]:
    found = []
    for file in cgroup.glob("**/cgroup.procs"):
        with suppress(OSError):
            # Gone meanwhile.
            found += [int(line) for line in file.read_text().split()]
    return found
