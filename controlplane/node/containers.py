"""The containers of a running pod: started, restarted after their back-off, resized, probed.

Which of them are due, and in what order, the worker says; what happens when a pod ends is no matter of this.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from controlplane.api.types import Object
from controlplane.node import resize, security
from controlplane.node import status as pod_status
from controlplane.node.errors import NodeError
from controlplane.node.hooks import HOOK_FAILURES, Hooks
from controlplane.node.launch import Launcher
from controlplane.node.parts import NodeParts
from controlplane.node.plan import spec_hash
from controlplane.node.probes import ProbeKind, ProbeSet
from controlplane.node.pulls import FIRST_DELAY, LONGEST_DELAY
from controlplane.node.runtime import live_limits
from controlplane.node.runtime.container import Container
from controlplane.node.runtime.execution import output_of
from controlplane.node.state import ContainerState, PodState
from controlplane.node.stopping import Stopper, grace_of

RETRY_SECONDS = 2.0
RESET_SECONDS = 2 * LONGEST_DELAY
"""A container that ran this long starts its back-off anew."""


class ContainerKeeper:
    """Keeps the containers of one node's pods as their manifests want them; `wake(uid)` asks for another step."""

    def __init__(
        self, parts: NodeParts, wake: Callable[[str], None], launcher: Launcher, hooks: Hooks, stopper: Stopper
    ) -> None:
        self._parts = parts
        self._wake = wake
        self._launcher = launcher
        self._hooks = hooks
        self._stopper = stopper

    async def ensure(self, state: PodState, container: ContainerState, policy: str) -> float | None:
        """Starts it, restarts it, resizes it, or leaves it as it is; seconds until it is to be looked at again."""
        current, now = container.current, time.time()
        if current is not None and current.exit is None:
            if current.record.spec_hash != spec_hash(container.spec) and container.stopping is None:
                message = f"Container {container.name} definition changed, will be restarted"
                self._stop_soon(state, container, grace_of(state), message)
            return await self._resize(state, container, current)
        if current is not None:
            if not pod_status.may_restart(container, policy):
                return None
            if container.waiting is None and container.image is None:
                self._back_off(state, container)
        if now < container.retry_at:
            return container.retry_at - now
        if await self._launcher.launch(state, container):
            await self._started(state, container)
            return None
        return _until_retry(container)

    async def _resize(self, state: PodState, container: ContainerState, current: Container) -> float | None:
        wanted = container.spec.get("resources") or {}
        if container.resources == wanted or container.stopping is not None or not current.running:
            return None
        before = container.resources
        if before is not None and resize.needs_restart(container.spec, before):
            message = f"Container {container.name} resize requires restart"
            self._stop_soon(state, container, grace_of(state), message)
            return None
        try:
            limits = security.resources(container.spec)
            await self._parts.spawner.files(live_limits.apply, current.record.cgroup, limits)
        except NodeError as failure:
            self._launcher.event(state, container, "ResizeError", str(failure), warn=True)
            return RETRY_SECONDS
        container.resources = wanted
        if before is not None:
            self._launcher.event(state, container, "ResizeCompleted", f"Container {container.name} resized")
        return None

    async def ensure_ephemeral(self, state: PodState, container: ContainerState) -> float | None:
        """The same for an ephemeral container, which starts once."""
        await self._launcher.launch_once(state, container)
        return _until_retry(container) if container.waiting else None

    def _back_off(self, state: PodState, container: ContainerState) -> None:
        """Sets when an ended container may begin again: the first time at once, then 10 s, 20 s, up to 5 min."""
        current = container.current
        assert current is not None
        assert current.exit is not None
        ran = current.exit.finished - (current.started or current.exit.finished)
        if ran > RESET_SECONDS:
            container.delay = 0.0
        elif container.delay == 0.0 and current.record.attempt > 0:
            # An earlier daemon counted; the attempts tell how far it was.
            container.delay = min(FIRST_DELAY * 2 ** min(current.record.attempt - 1, 5), LONGEST_DELAY)
        container.retry_at = current.exit.finished + container.delay
        if container.retry_at > time.time():
            where = f"{state.name}_{state.namespace}({state.uid})"
            container.waiting = (
                "CrashLoopBackOff",
                f"back-off {_duration(container.delay)} restarting failed container={container.name} pod={where}",
            )
            message = f"Back-off restarting failed container {container.name} in pod {where}"
            self._launcher.event(state, container, "BackOff", message, warn=True)
        container.delay = min(max(container.delay * 2, FIRST_DELAY), LONGEST_DELAY)

    async def _started(self, state: PodState, container: ContainerState) -> None:
        if not container.running:
            self._wake(state.uid)
            return
        hook = (container.spec.get("lifecycle") or {}).get("postStart")
        if hook:
            # A task: it may take an hour, and a worker is for all pods of the node.
            task = self._post_start(state, container, hook)
            container.post_start = asyncio.get_running_loop().create_task(task, name=f"post-start-{container.name}")
            return
        _begins(container)

    async def _post_start(self, state: PodState, container: ContainerState, hook: Object) -> None:
        try:
            await self._hooks.run(state, container, hook)
        except HOOK_FAILURES:
            self._launcher.event(state, container, "FailedPostStartHook", "PostStartHook failed", warn=True)
            if container.stopping is None:
                self._stop_soon(state, container, grace_of(state), "FailedPostStartHook")
        else:
            _begins(container)
        finally:
            container.post_start = None
            self._wake(state.uid)

    # Probes.

    def watch_probes(self, state: PodState) -> None:
        """Has the probes of all that runs asked."""
        for container in state.containers.values():
            if container.role == "init" or not container.running or container.probes is not None:
                continue
            if container.post_start is not None:
                continue
            probes = self._probe_set(state, container)
            if probes.kinds:
                container.probes = probes
                probes.start()

    def _probe_set(self, state: PodState, container: ContainerState) -> ProbeSet:
        current = container.current
        assert current is not None
        assert state.sandbox is not None

        async def execute(command: list[str], seconds: float) -> tuple[int, str]:
            try:
                return await output_of(self._parts.runtime, current, command, seconds)
            except NodeError as error:
                return 1, str(error)

        def verdict(kind: ProbeKind, healthy: bool, message: str) -> None:
            if kind == "Readiness":
                container.ready = healthy
            elif kind == "Startup" and healthy:
                container.started = True
            elif not healthy and container.stopping is None:
                self._restart(state, container, kind)
            self._wake(state.uid)

        def unhealthy(kind: ProbeKind, message: str) -> None:
            self._launcher.event(state, container, "Unhealthy", f"{kind} probe failed: {message}", warn=True)

        address = state.sandbox.addresses[0]
        return ProbeSet(container.spec, address, self._parts.executor, execute, verdict, unhealthy)

    def _restart(self, state: PodState, container: ContainerState, kind: ProbeKind) -> None:
        probe = container.spec["livenessProbe" if kind == "Liveness" else "startupProbe"]
        grace = probe.get("terminationGracePeriodSeconds")
        message = f"Container {container.name} failed {kind.lower()} probe, will be restarted"

        self._stop_soon(state, container, grace if grace is not None else grace_of(state), message)

    def _stop_soon(self, state: PodState, container: ContainerState, grace: float, message: str) -> None:
        async def stop() -> None:
            try:
                await self._stopper.stop(state, container, grace, message)
            finally:
                container.stopping = None

        container.stopping = asyncio.get_running_loop().create_task(stop(), name=f"stop-{container.name}")


def _begins(container: ContainerState) -> None:
    """It has started; with probes those say the rest."""
    container.ready = container.running and not container.spec.get("readinessProbe")
    container.started = container.running and not container.spec.get("startupProbe")


def _until_retry(container: ContainerState) -> float | None:
    """Seconds until a container that waits is tried again; None for one whose image is on the way."""
    if container.image is not None and container.image.task is not None:
        return None
    return max(container.retry_at - time.time(), 0.0)


def _duration(seconds: float) -> str:
    """As Go prints a duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
