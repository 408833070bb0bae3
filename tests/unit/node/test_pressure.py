"""The node's pressure conditions say what the host measures."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.node import pressure


def of(kind: str, directory: Path) -> pressure.Pressure:
    (found,) = [one for one in pressure.measure(directory) if one.kind == kind]
    return found


@pytest.mark.parametrize(
    ("kind", "threshold", "short", "fine"),
    [
        ("MemoryPressure", "LEAST_MEMORY_BYTES", "KubeletHasInsufficientMemory", "KubeletHasSufficientMemory"),
        ("DiskPressure", "LEAST_DISK_BYTES", "KubeletHasDiskPressure", "KubeletHasNoDiskPressure"),
        ("PIDPressure", "LEAST_PIDS", "KubeletHasInsufficientPID", "KubeletHasSufficientPID"),
    ],
)
def test_a_threshold_decides(
    kind: str, threshold: str, short: str, fine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, threshold, 0)
    monkeypatch.setattr(pressure, "LEAST_INODES", 0)
    assert (of(kind, tmp_path).status, of(kind, tmp_path).reason) == ("False", fine)
    monkeypatch.setattr(pressure, threshold, 1 << 60)
    assert (of(kind, tmp_path).status, of(kind, tmp_path).reason) == ("True", short)
