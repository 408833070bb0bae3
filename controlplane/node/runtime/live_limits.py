"""Limits of a container that runs: what the OCI runtime wrote at its creation, written again."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from controlplane.node.errors import RuntimeFailure
from controlplane.node.runtime import cgroups
from controlplane.node.runtime.oci import Resources

PERIOD = 100_000
_WEIGHT_RANGE, _SHARES_RANGE = 9999, 262_142
UNLIMITED_V1 = "-1"


def apply(cgroup: str, limits: Resources) -> None:
    """Sets CPU and memory of a cgroup; RuntimeFailure if the kernel refuses, as it does below what is in use."""
    try:
        if cgroups.unified():
            _apply_v2(cgroups.directory("", cgroup), limits)
        else:
            _apply_v1(cgroups.directory("cpu", cgroup), cgroups.directory("memory", cgroup), limits)
    except OSError as error:
        raise RuntimeFailure(f"the limits cannot be changed: {error.strerror} ({error.filename})") from error


def _apply_v2(directory: Path, limits: Resources) -> None:
    weight = 1 + (limits.cpu_shares - 2) * _WEIGHT_RANGE // _SHARES_RANGE
    _write(directory / "cpu.weight", str(weight))
    _write(directory / "cpu.max", f"{limits.cpu_quota or 'max'} {PERIOD}")
    _write(directory / "memory.max", str(limits.memory_bytes or "max"))


def _apply_v1(cpu: Path, memory: Path, limits: Resources) -> None:
    _write(cpu / "cpu.shares", str(limits.cpu_shares))
    _write(cpu / "cpu.cfs_quota_us", str(limits.cpu_quota or UNLIMITED_V1))
    wanted = str(limits.memory_bytes or UNLIMITED_V1)
    files = [memory / "memory.limit_in_bytes", memory / "memory.memsw.limit_in_bytes"]
    # Memory and swap together are never less than memory: what grows begins with the larger one.
    with suppress(FileNotFoundError):
        if limits.memory_bytes is None or int(files[0].read_text()) < limits.memory_bytes:
            files.reverse()
    for file in files:
        _write(file, wanted)


def _write(file: Path, text: str) -> None:
    # A controller that the host lacks, or that counts no swap, limits nothing.
    if file.exists():
        file.write_text(text)
