"""SIGKILL to a container reaches the cgroups that it made below its own."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from controlplane.node.runtime import cgroups
from controlplane.node.runtime.container import Container, ContainerRuntime
from controlplane.node.runtime.spawner import shared_spawner
from tests.unit.node.test_termination import record


def _roots() -> list[Path]:
    """Those that a process can be put into without more: a cpuset wants processors first."""
    return [root for root in cgroups.hierarchies() if "cpuset" not in root.name]


@pytest.fixture
def cgroup(cluster: str) -> Iterator[str]:
    """A container's cgroup with one below it, where the host lets a test make any."""
    name = cgroups.container_cgroup(cluster, "node-1", "uid", "id")
    for root in _roots():
        (root / name.lstrip("/") / "own").mkdir(parents=True)
    yield name
    cgroups.remove(f"{cgroups.TOP}/{cluster}")


@pytest.mark.parametrize("hierarchy", range(len(_roots())))
def test_a_process_in_a_cgroup_below_is_killed(cgroup: str, tmp_path: Path, hierarchy: int) -> None:
    """In another hierarchy than the first one it is found if it is the container's first process."""
    runtime = ContainerRuntime("none", tmp_path, shared_spawner(), lambda ended: None)
    with subprocess.Popen(["sleep", "60"]) as process:
        (_roots()[hierarchy] / cgroup.lstrip("/") / "own" / "cgroup.procs").write_text(str(process.pid))
        container = Container(replace(record(tmp_path), cgroup=cgroup), tmp_path, process.pid if hierarchy else 0)
        try:
            runtime.kill(container, 9)
            assert process.wait(60) == -9
        finally:
            process.kill()
