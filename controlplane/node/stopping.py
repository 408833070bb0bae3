"""Ending containers: preStop, the stop signal, the grace period, SIGKILL."""

from __future__ import annotations

import asyncio
import logging
import signal
import time

from controlplane.api.types import Object
from controlplane.node.hooks import HOOK_FAILURES, Hooks
from controlplane.node.launch import Launcher
from controlplane.node.parts import NodeParts
from controlplane.node.runtime.container import KILL_SECONDS, Container
from controlplane.node.state import ContainerState, PodState

log = logging.getLogger(__name__)

DEFAULT_GRACE = 30
LEAST_SECONDS = 2.0
"""Between the stop signal and SIGKILL, however long the preStop hook took, as upstream."""


class Stopper:
    """Ends containers of one node's pods."""

    def __init__(self, parts: NodeParts, launcher: Launcher, hooks: Hooks) -> None:
        self._parts = parts
        self._launcher = launcher
        self._hooks = hooks

    async def stop_pod(self, state: PodState) -> None:
        """Ends everything that runs in a pod until `state.deadline`: first all but the sidecars, then those, the one
        that was started last before the others."""
        doomed = [container for container in state.alive if container.role != "sidecar"]
        await asyncio.gather(*(self.stop(state, container, state.deadline - time.time()) for container in doomed))
        for container in reversed([container for container in state.alive if container.role == "sidecar"]):
            await self.stop(state, container, state.deadline - time.time())

    async def stop(self, state: PodState, container: ContainerState, grace: float, message: str = "") -> None:
        """Ends one container within `grace` seconds; returns when it has ended."""
        current = container.current
        if current is None or current.exit is not None:
            return
        if container.probes is not None:
            container.probes.stop()
        self._launcher.event(state, container, "Killing", message or f"Stopping container {container.name}")
        end = time.monotonic() + max(grace, 0.0)
        hook = (container.spec.get("lifecycle") or {}).get("preStop")
        if hook and grace > 0 and current.running:
            await self._pre_stop(state, container, hook, end)
            end = max(end, time.monotonic() + LEAST_SECONDS)
        number = current.record.stop_signal if current.started is not None else signal.SIGKILL
        self._parts.runtime.kill(current, number)
        if not await _ended(current, end - time.monotonic()):
            self._parts.runtime.kill(current, signal.SIGKILL)
            if not await _ended(current, KILL_SECONDS):
                log.error("container does not end on SIGKILL", extra={"pod": state.name, "container": container.name})

    async def _pre_stop(self, state: PodState, container: ContainerState, hook: Object, end: float) -> None:
        try:
            async with asyncio.timeout(end - time.monotonic()):
                await self._hooks.run(state, container, hook)
        except TimeoutError:
            log.info("preStop hook outlasted the grace period", extra={"pod": state.name, "container": container.name})
        except HOOK_FAILURES:
            self._launcher.event(state, container, "FailedPreStopHook", "PreStopHook failed", warn=True)


def grace_of(state: PodState) -> float:
    """The seconds that the manifest gives the pod's containers to end."""
    grace = state.pod["spec"].get("terminationGracePeriodSeconds")
    return float(DEFAULT_GRACE if grace is None else grace)


async def _ended(container: Container, seconds: float) -> bool:
    if container.exit is not None:
        return True
    try:
        async with asyncio.timeout(max(seconds, 0.0)):
            await container.ended.wait()
    except TimeoutError:
        return False
    return True
