"""The plugin's package: what it offers, and how little each run of pytest loads of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import workbench.testing
from workbench.testing import Cluster
from workbench.testing.evidence import collect

LOADED = """
import sys, workbench.testing.plugin
print(*(name for name in sys.modules if name.split(".")[0] in ("netsim", "cni", "controlplane", "workbench")))
"""


def test_what_it_offers_is_there() -> None:
    for name in workbench.testing.__all__:
        assert getattr(workbench.testing, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = workbench.testing.nothing


def test_a_run_without_a_cluster_loads_nothing_of_one() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, check=True)
    assert set(done.stdout.split()) == {"workbench", "workbench.testing", "workbench.testing.plugin"}


def test_what_cannot_be_kept_of_a_cluster_that_is_gone_is_told(tmp_path: Path) -> None:
    capture = tmp_path / "capture-1.pcapng"
    capture.write_bytes(b"packets")
    problems = collect(Cluster("unit-gone"), tmp_path / "kept", [], [tmp_path / "none", capture])
    missing = ("none", "daemon.log", "cluster.json", "admin.kubeconfig", "admin.kubeconfig")
    assert [word in told for word, told in zip(missing, problems, strict=True)] == [True] * len(missing), problems
    assert (tmp_path / "kept" / capture.name).read_bytes() == b"packets"
