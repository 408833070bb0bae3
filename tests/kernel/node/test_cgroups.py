"""Containers on hosts of every cgroup layout: each is made in a mount namespace, and tests of pods are run in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CAP_SYS_RESOURCE = 24
PODS = Path(__file__).with_name("test_pods.py")
PYTEST = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--log-level=WARNING", "-rA"]
LAYOUTS = {
    "v2": "umount -R /sys/fs/cgroup && mount -t cgroup2 none /sys/fs/cgroup",
    "v1": "umount /sys/fs/cgroup/unified",
    "none": "umount -R /sys/fs/cgroup",
}


def _run(layout: str, argv: list[str]) -> subprocess.CompletedProcess[str]:
    script = f'mount --make-rprivate / && {LAYOUTS[layout]} && exec "$@"'
    return subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", *argv], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("layout", ["v2", "v1"])
def test_pods_run_and_are_removed(layout: str) -> None:
    if layout == "v1" and not Path("/sys/fs/cgroup/unified/cgroup.procs").exists():
        pytest.skip("this host has no cgroup v1 hierarchies")
    tests = ["test_a_server_stands_in_and_says_so", "test_a_failed_pod_says_with_which_status"]
    ran = _run(layout, [*PYTEST, *(f"{PODS}::{test}" for test in tests)])
    assert ran.returncode == 0, ran.stdout + ran.stderr
    # Each test has an agent of its own, which says it once.
    times = len(tests) if layout == "v2" and not _may_limit_devices() else 0
    assert ran.stdout.count("containers run without device rules") == times


def _may_limit_devices() -> bool:
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return bool(int(status["CapEff"], 16) >> CAP_SYS_RESOURCE & 1)


def test_without_cgroups_it_is_said_what_to_do() -> None:
    ran = _run("none", [sys.executable, "-c", "from controlplane.node.runtime import cgroups; cgroups.require()"])
    assert ran.returncode == 1
    assert "RuntimeFailure: containers need cgroups, and none are mounted at /sys/fs/cgroup: mount -t" in ran.stderr
