"""Starting one container: image, root file system, mounts, environment, create, start.

Each step that fails leaves the container waiting with the kubelet's reason, and an event.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from controlplane.api.types import Object
from controlplane.node import log_rotation
from controlplane.node.errors import CreationFailure, NodeError, RuntimeFailure
from controlplane.node.images.standin import control_directory
from controlplane.node.parts import NodeParts
from controlplane.node.plan import Planner, Prepared
from controlplane.node.pulls import FIRST_DELAY, ImagePulls
from controlplane.node.runtime.container import Container, Exit
from controlplane.node.runtime.process import read_once
from controlplane.node.runtime.record import Record
from controlplane.node.state import ContainerState, PodState

READY_SECONDS = 2.0
START_ERROR_CODE = 128
_FIELDS = {"main": "containers", "ephemeral": "ephemeralContainers"}


class Launcher:
    """Starts containers of one node's pods."""

    def __init__(self, parts: NodeParts, wake: Callable[[str], None]) -> None:
        self._parts = parts
        self._planner = Planner(parts)
        self._pulls = ImagePulls(parts, self.event, wake)

    async def launch(self, state: PodState, container: ContainerState) -> bool:
        """Starts the next attempt of a container; False when it now waits, until `retry_at` or for its image."""
        assert state.sandbox is not None
        pod, attempt = state.pod, await self._next_attempt(state, container)
        found = self._pulls.find(state, container)
        if found is None:
            return False
        try:
            prepared = await self._planner.prepare(state, container, *found, attempt)
        except CreationFailure as failure:
            self._waits(state, container, "CreateContainerError", str(failure))
            return False
        except NodeError as failure:
            self._waits(state, container, "CreateContainerConfigError", str(failure))
            return False
        container.resources = container.spec.get("resources") or {}
        try:
            if container.current is not None:
                await self._supersede(container)
            container.current = await self._start(pod, container, prepared)
        except RuntimeFailure as failure:
            self._start_failed(state, container, prepared, failure)
            return True
        finally:
            self._planner.release(prepared)
        container.waiting = None
        return True

    def event(
        self, state: PodState, container: ContainerState, reason: str, message: str, *, warn: bool = False
    ) -> None:
        """Records an event about one container."""
        kind: Literal["Normal", "Warning"] = "Warning" if warn else "Normal"
        self._parts.recorder.event(state.pod, kind, reason, message, field_path=_field_path(container))

    async def launch_once(self, state: PodState, container: ContainerState) -> None:
        """Starts an ephemeral container, unless it has run before; later, if it has to wait."""
        if container.current is not None or time.time() < container.retry_at:
            return
        if await self._next_attempt(state, container) == 0:
            await self.launch(state, container)

    def close(self) -> None:
        """Ends pulls that run."""
        self._pulls.close()

    def data_dir(self, state: PodState) -> Path:
        """Where the pod's files are that outlive a reboot."""
        return self._planner.data_dir(state)

    async def _next_attempt(self, state: PodState, container: ContainerState) -> int:
        newest = container.current or container.previous
        if newest is not None:
            return newest.record.attempt + 1
        # After a reboot only the logs say how often it was started before.
        logs = self.data_dir(state).glob(f"{container.name}_*.log")
        return max((int(path.stem.rpartition("_")[2]) for path in logs), default=-1) + 1

    def _waits(self, state: PodState, container: ContainerState, reason: str, message: str) -> None:
        container.waiting = (reason, message)
        container.retry_at = time.time() + FIRST_DELAY
        self.event(state, container, "Failed", f"Error: {message}", warn=True)

    def _start_failed(
        self, state: PodState, container: ContainerState, prepared: Prepared, failure: RuntimeFailure
    ) -> None:
        failed = Container(prepared.record, self._parts.runtime.bundle(prepared.record.id), 0)
        failed.exit = Exit(START_ERROR_CODE, time.time())
        failed.start_error = str(failure)
        failed.ended.set()
        container.current, container.waiting = failed, None
        self.event(state, container, "Failed", f"Error: {failure}", warn=True)

    async def _supersede(self, container: ContainerState) -> None:
        previous, container.previous = container.previous, container.current
        if previous is not None and previous is not container.current:
            await self._parts.runtime.remove(previous)
            await self._parts.spawner.files(_remove_data, previous.record)

    async def _start(self, pod: Object, container: ContainerState, prepared: Prepared) -> Container:
        runtime = self._parts.runtime
        made = await runtime.create(prepared.plan, prepared.record)
        about = _field_path(container)
        self._parts.recorder.event(pod, "Normal", "Created", "Container created", field_path=about)
        fifo = _open_fifo(made.bundle) if prepared.listens else -1
        try:
            await runtime.start(made)
            self._parts.recorder.event(pod, "Normal", "Started", "Container started", field_path=about)
            if fifo >= 0:
                # So that no Service sends to a server that does not listen yet.
                await _listening(fifo, made)
        finally:
            if fifo >= 0:
                os.close(fifo)
        return made


def _field_path(container: ContainerState) -> str:
    """Where in its pod's manifest a container is, as events say it."""
    return f"spec.{_FIELDS.get(container.role, 'initContainers')}{{{container.name}}}"


async def _listening(fifo: int, server: Container) -> None:
    """Returns when the server has said that its ports are open, or has ended, which a port that is taken makes it."""
    waits = [asyncio.ensure_future(wait) for wait in (read_once(fifo, 1), server.ended.wait())]
    try:
        await asyncio.wait(waits, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _open_fifo(bundle: Path) -> int:
    fifo = control_directory(bundle) / "ready"
    return os.open(fifo, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def _remove_data(record: Record) -> None:
    shutil.rmtree(record.data_dir, ignore_errors=True)
    log_rotation.remove(Path(record.log_path))
