"""What containers use, from their cgroups."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from controlplane.node import usage
from controlplane.node.runtime import cgroups
from controlplane.node.usage import UsageMeter, cpu_seconds, working_set

CONTAINER = "/netsim/c/node-1/podx/y"


def write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


@pytest.fixture(params=["v1", "v2"])
def host(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A host's cgroups of either version; call it to say what the container has used."""
    v2 = request.param == "v2"
    roots = (tmp_path,) if v2 else (tmp_path / "cpu,cpuacct", tmp_path / "memory")
    monkeypatch.setattr(cgroups, "CGROUP_ROOT", tmp_path)
    monkeypatch.setattr(cgroups, "unified", lambda: v2)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: roots)

    def use(seconds: float, memory: int, inactive: int, cgroup: str = CONTAINER) -> None:
        below = cgroup.lstrip("/")
        if v2:
            stat = f"usage_usec {int(seconds * 1e6)}\nuser_usec 0\n"
            write(tmp_path / below, cpu__stat=stat, memory__current=f"{memory}\n")
            write(tmp_path / below, memory__stat=f"anon 1\ninactive_file {inactive}\n")
        else:
            write(roots[0] / below, cpuacct__usage=f"{int(seconds * 1e9)}\n")
            stat = f"inactive_file 0\ntotal_inactive_file {inactive}\n"
            write(roots[1] / below, memory__usage_in_bytes=f"{memory}\n", memory__stat=stat)

    return use


def meter_of(started: float) -> UsageMeter:
    record = SimpleNamespace(cgroup=CONTAINER)
    container = SimpleNamespace(name="main", current=SimpleNamespace(record=record, started=started, running=True))
    state: Any = SimpleNamespace(namespace="default", name="web", containers={"main": container})

    async def inline(function: Any, *arguments: Any) -> Any:
        return function(*arguments)

    spawner: Any = SimpleNamespace(files=inline)
    return UsageMeter("/netsim/c/node-1", lambda: [state], spawner)


def test_every_layout_is_read(host: Any) -> None:
    host(2.5, 5000, 1000)
    assert cpu_seconds(CONTAINER) == 2.5
    assert working_set(CONTAINER) == 4000
    assert cpu_seconds("/gone") is None
    assert working_set("/gone") is None


async def test_cpu_is_the_average_since_the_last_look(host: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(usage.time, "time", lambda: clock.now)
    meter = meter_of(started=990.0)
    host(5.0, 5000, 0)
    await meter.look()
    first = meter.containers["default", "web", "main"]
    assert (first.cpu, first.window, first.memory) == (0.5, 10.0, 5000)
    assert meter.node is None, "its cgroup was never seen before"
    clock.now += 20
    host(9.0, 6000, 0)
    host(10.0, 9000, 0, "/netsim/c/node-1")
    await meter.look()
    assert meter.containers["default", "web", "main"].cpu == pytest.approx(0.2)
    clock.now += 10
    host(15.0, 9000, 0, "/netsim/c/node-1")
    await meter.look()
    assert meter.node is not None
    assert (meter.node.cpu, meter.node.memory) == (0.5, 9000)
