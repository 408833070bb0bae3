"""Directories of clusters in a place of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane import directories
from controlplane.directories import Directories


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Directories:
    """The directories of a cluster `lab`, made but empty."""
    monkeypatch.setattr(directories, "STATE_ROOT", tmp_path / "state")
    monkeypatch.setattr(directories, "RUN_ROOT", tmp_path / "run")
    found = Directories("lab")
    found.ensure()
    return found
