"""Whether the host runs out of memory, disk or process ids: the kubelet's pressure conditions, measured.

All nodes share the host, so they feel the same pressure. The thresholds are low and absolute: a laboratory's disk may
well be nine tenths full.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

LEAST_MEMORY_BYTES = 100 << 20
"""The kubelet's default for memory.available."""
LEAST_DISK_BYTES = 100 << 20
LEAST_INODES = 1000
LEAST_PIDS = 200


@dataclass(frozen=True, slots=True)
class Pressure:
    """One condition of a node: its type, status, reason and message, and the reason of the event that tells it."""

    kind: str
    status: str
    reason: str
    message: str
    event: str


def measure(directory: Path) -> tuple[Pressure, ...]:
    """The present pressures; `directory` is on the disk that pods write to."""
    return (
        _memory(_available_memory() < LEAST_MEMORY_BYTES),
        _disk(_is_full(directory)),
        _pids(_free_pids() < LEAST_PIDS),
    )


def _memory(short: bool) -> Pressure:
    word = "Insufficient" if short else "Sufficient"
    message = f"kubelet has {word.lower()} memory available"
    return Pressure("MemoryPressure", str(short), f"KubeletHas{word}Memory", message, f"NodeHas{word}Memory")


def _disk(short: bool) -> Pressure:
    word = "" if short else "No"
    message = f"kubelet has {'' if short else 'no '}disk pressure"
    return Pressure("DiskPressure", str(short), f"KubeletHas{word}DiskPressure", message, f"NodeHas{word}DiskPressure")


def _pids(short: bool) -> Pressure:
    word = "Insufficient" if short else "Sufficient"
    message = f"kubelet has {word.lower()} PID available"
    return Pressure("PIDPressure", str(short), f"KubeletHas{word}PID", message, f"NodeHas{word}PID")


def _available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _is_full(directory: Path) -> bool:
    disk = os.statvfs(directory)
    # A file system without a table of inodes says that it has none.
    out_of_inodes = disk.f_files > 0 and disk.f_favail < LEAST_INODES
    return disk.f_bavail * disk.f_frsize < LEAST_DISK_BYTES or out_of_inodes


def _free_pids() -> int:
    limits = (Path(f"/proc/sys/kernel/{name}").read_text() for name in ("pid_max", "threads-max"))
    running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[2])
    return min(int(limit) for limit in limits) - running
