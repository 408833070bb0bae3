"""The plugin's package: what it offers, and how little each run of pytest loads of it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import workbench.testing

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
