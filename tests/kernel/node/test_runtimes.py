"""Pods under the other OCI runtime: `runc`, where `crun` is not installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = (
    "test_pods.py::test_a_server_stands_in_and_says_so",
    "test_pods.py::test_a_failed_pod_says_with_which_status",
    "test_adoption.py::test_running_pods_go_on_and_are_taken_over",
)
# A file that cannot be executed in crun's place: the look-up goes on to runc.
HIDE_CRUN = 'mount --make-rprivate / && mount --bind "$1" "$2" && shift 2 && exec "$@"'


def test_pods_run_under_runc(tmp_path: Path) -> None:
    crun, runc = shutil.which("crun"), shutil.which("runc")
    if crun is None or runc is None:
        pytest.skip("needs both crun, to hide it, and runc")
    hidden = tmp_path / "hidden"
    hidden.touch(mode=0o600)
    here = Path(__file__).parent
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(str(here / test) for test in TESTS)]
    ran = subprocess.run(
        ["unshare", "-m", "sh", "-c", HIDE_CRUN, "sh", str(hidden), crun, *argv],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "3 passed" in ran.stdout
