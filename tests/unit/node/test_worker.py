"""A step of a pod goes on while the pod gets another container, as `kubectl debug` gives it one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from controlplane.node.parts import NodeParts
from controlplane.node.runtime.container import Container, Exit
from controlplane.node.state import PodState, container_states
from controlplane.node.worker import PodWorker
from tests.unit.node.test_termination import record

POD: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "default", "uid": "u"},
    "spec": {"containers": [{"name": "a", "image": "nginx"}, {"name": "b", "image": "nginx"}]},
}
DEBUGGED = {**POD, "spec": {**POD["spec"], "ephemeralContainers": [{"name": "debugger", "image": "busybox"}]}}


@pytest.fixture
def state(tmp_path: Path) -> PodState:
    """Both containers have ended."""
    made = PodState(POD, container_states(POD))
    for name, container in made.containers.items():
        container.current = Container(replace(record(tmp_path), container=name), tmp_path, 0)
        container.current.exit = Exit(1, 0.0)
    return made


@pytest.fixture
def worker(state: PodState) -> PodWorker:
    async def renewed(*_: Any) -> str:
        await asyncio.sleep(0)
        state.renew(DEBUGGED)
        return ""

    async def nothing(*_: Any) -> None: ...

    parts = SimpleNamespace(
        spawner=SimpleNamespace(files=renewed),
        runtime=SimpleNamespace(remove=renewed),
        sandboxes=SimpleNamespace(remove=nothing),
        storage=SimpleNamespace(staging=SimpleNamespace(release=nothing)),
    )
    return PodWorker(cast(NodeParts, parts), lambda uid: None)


@pytest.mark.parametrize("work", [PodWorker._note_ends, PodWorker._remove_all])
async def test_a_container_that_comes_meanwhile(
    worker: PodWorker, state: PodState, work: Callable[[PodWorker, PodState], Any]
) -> None:
    await work(worker, state)
    assert list(state.containers) == ["a", "b", "debugger"]
