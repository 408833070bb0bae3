"""One step of one pod: compare what its manifest wants with what runs, and act.

Called again whenever anything about the pod may have changed: the object, a container's end, a probe's verdict,
a back-off that is over. It never depends on having seen an event.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cni.errors import CniError
from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import POD
from controlplane.api.types import Object
from controlplane.node import logs, mounting, pause, podfiles, pulls, resize, security, standins
from controlplane.node import status as pod_status
from controlplane.node.errors import ConfigFailure, NodeError, RuntimeFailure
from controlplane.node.hooks import HOOK_FAILURES, Hooks
from controlplane.node.launch import Launcher
from controlplane.node.limits import Limits
from controlplane.node.parts import NodeParts
from controlplane.node.plan import addresses_of, spec_hash
from controlplane.node.probes import ProbeKind, ProbeSet
from controlplane.node.pulls import FIRST_DELAY, LONGEST_DELAY
from controlplane.node.runtime import live_limits
from controlplane.node.runtime.container import Container
from controlplane.node.runtime.execution import output_of
from controlplane.node.state import ContainerState, PodState
from controlplane.node.stopping import Stopper
from controlplane.node.volumes.context import VolumeContext
from netsim.errors import NetsimError

RETRY_SECONDS = 2.0
RESET_SECONDS = 2 * LONGEST_DELAY
"""A container that ran this long starts its back-off anew."""
DEFAULT_GRACE = 30
MESSAGE_BYTES, MESSAGE_LINES = 4096, 80
LOG_MESSAGE_BYTES = 2048


class PodWorker:
    """Brings pods of one node to what they should be. `wake(uid)` asks for another step."""

    def __init__(self, parts: NodeParts, wake: Callable[[str], None]) -> None:
        self._parts = parts
        self._wake = wake
        self._launcher = Launcher(parts, wake)
        self._hooks = Hooks(parts)
        self._stopper = Stopper(parts, self._launcher, self._hooks)
        self._limits = Limits(parts)

    async def step(self, state: PodState) -> float | None:
        """One step; seconds until the next is due anyway, or None. When `state.gone` is left with no container and no
        sandbox, the pod can be forgotten."""
        await self._note_ends(state)
        if not state.start_time:
            old = state.pod.get("status") or {}
            state.start_time = old.get("startTime") or pod_status.timestamp(time.time())
        if state.gone or state.pod["metadata"].get("deletionTimestamp"):
            await self._end(state)
            return None
        phase = (state.written or state.pod.get("status") or {}).get("phase")
        if phase in pod_status.ENDED_PHASES:
            await self._finish(state)
            return None
        check = await self._limits.check(state)
        if state.failure is not None:
            await self._fail(state)
            return None
        due = _soonest([await self._advance(state), check])
        self._watch_probes(state)
        await self.write_status(state)
        await self._update_standins(state)
        return due

    def close(self) -> None:
        """Ends what the worker has others do in the background; steps may be taken again."""
        self._launcher.close()

    async def write_status(self, state: PodState) -> None:
        """Writes the status if it says something new."""
        wanted = pod_status.build(state, self._parts.config, time.time())
        if wanted == (state.written or state.pod.get("status")) or not self._parts.connection.up:
            return
        body = {"metadata": {"uid": state.uid}, "status": wanted}
        before, state.written = state.written, wanted
        try:
            written = await self._parts.client.patch(POD, state.name, state.namespace, body=body, subresource="status")
        except (NotFound, Conflict):
            # The pod has just gone, or another of its name has come; the informer will say so.
            return
        except BaseException:
            state.written = before
            raise
        state.written = written.get("status") or wanted
        state.written_version = int(written["metadata"]["resourceVersion"])
        if wanted["phase"] in pod_status.ENDED_PHASES:
            # What it held is released in the next step; nothing else would ask for one.
            self._wake(state.uid)

    async def discard(self, state: PodState) -> None:
        """Removes every trace of a pod, running or not."""
        await self._remove_all(state)
        for directory in (self._launcher.data_dir(state), self._parts.config.run / "volumes" / state.uid):
            await self._parts.spawner.files(_remove_tree, directory)
        self._parts.tokens.forget(state.uid)

    async def _update_standins(self, state: PodState) -> None:
        if not state.standins_due:
            return
        state.standins_due = False
        try:
            await standins.update(state, self._parts)
        except OSError as error:
            state.standins_due = True
            raise NodeError(f"the ports of a stand-in cannot be changed: {error}") from error

    # What ended since last time.

    async def _note_ends(self, state: PodState) -> None:
        for container in state.containers.values():
            current = container.current
            if current is None or current.exit is None:
                continue
            if container.probes is not None:
                container.probes.stop()
                container.probes = None
            if container.post_start is not None:
                container.post_start.cancel()
                container.post_start = None
            container.ready = container.started = False
            if not current.message and not current.start_error:
                current.message = await self._parts.spawner.files(termination_message, current, container.spec)

    # Towards running.

    async def _advance(self, state: PodState) -> float | None:
        try:
            await self._ensure_sandbox(state)
            await pause.ensure(state, self._parts)
            mounted = not state.volumes_due or await self._mount(state)
        except (NetsimError, CniError, ConfigFailure, RuntimeFailure) as error:
            message = f"Failed to create pod sandbox: {error}"
            self._parts.recorder.event(state.pod, "Warning", "FailedCreatePodSandBox", message)
            return RETRY_SECONDS
        if not mounted:
            return RETRY_SECONDS
        dues = [await self._ensure_ephemeral(state, container) for container in state.of_role("ephemeral")]
        policy = state.pod["spec"].get("restartPolicy", "Always")
        for container in state.of_role("init", "sidecar"):
            if container.role == "init" and (container.succeeded or any(c.current for c in state.of_role("main"))):
                continue
            dues.append(await self._ensure_container(state, container, policy))
            done = container.succeeded if container.role == "init" else container.running and container.started
            if not done:
                return _soonest(dues)
        for container in state.of_role("main"):
            dues.append(await self._ensure_container(state, container, policy))
            if container.post_start is not None:
                # The next ones wait for it, as manifests rely on.
                break
        return _soonest(dues)

    async def _ensure_sandbox(self, state: PodState) -> None:
        if state.sandbox is not None and state.files_written:
            return
        if state.sandbox is None:
            state.sandbox = await self._parts.sandboxes.create(state.pod, time.time())
        if self._parts.guard is not None and state.sandbox.netns:
            await self._parts.guard.guard(state.pod, state.sandbox.addresses)
        # Also for one that was taken over: its maker may have been killed before it came to this.
        await self._parts.spawner.files(podfiles.ensure, state.pod, state.sandbox, self._parts.config)
        state.files_written = True

    async def _mount(self, state: PodState) -> bool:
        return await mounting.ensure(state, self._volume_context(state), self._parts.recorder, time.time())

    def _volume_context(self, state: PodState) -> VolumeContext:
        parts = self._parts
        return VolumeContext(
            pod=state.pod,
            directory=self._launcher.data_dir(state) / "volumes",
            memory=parts.config.run / "volumes" / state.uid,
            sources=parts.sources,
            spawner=parts.spawner,
            tokens=parts.tokens.get,
            addresses=addresses_of(state, parts.config.address),
            allocatable=parts.registration.allocatable,
            storage=parts.storage,
            recorder=parts.recorder,
            labels=parts.storage.node_labels(),
        )

    async def _ensure_container(self, state: PodState, container: ContainerState, policy: str) -> float | None:
        current, now = container.current, time.time()
        if current is not None and current.exit is None:
            if current.record.spec_hash != spec_hash(container.spec) and container.stopping is None:
                message = f"Container {container.name} definition changed, will be restarted"
                self._stop_soon(state, container, self._grace(state), message)
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
            self._stop_soon(state, container, self._grace(state), message)
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

    async def _ensure_ephemeral(self, state: PodState, container: ContainerState) -> float | None:
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
                self._stop_soon(state, container, self._grace(state), "FailedPostStartHook")
        else:
            _begins(container)
        finally:
            container.post_start = None
            self._wake(state.uid)

    # Probes.

    def _watch_probes(self, state: PodState) -> None:
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

        self._stop_soon(state, container, grace if grace is not None else self._grace(state), message)

    def _stop_soon(self, state: PodState, container: ContainerState, grace: float, message: str) -> None:
        async def stop() -> None:
            try:
                await self._stopper.stop(state, container, grace, message)
            finally:
                container.stopping = None

        container.stopping = asyncio.get_running_loop().create_task(stop(), name=f"stop-{container.name}")

    # Towards the end.

    async def _end(self, state: PodState) -> None:
        state.stop_began = state.stop_began or pod_status.deletion_began(state.pod, time.time())
        deadline = 0.0 if state.gone else state.stop_began + self._deletion_grace(state)
        if state.stopping is not None and (state.stopping.done() or deadline < state.deadline):
            stopped, state.stopping = state.stopping, None
            if not stopped.done():
                stopped.cancel()
            elif not stopped.cancelled() and (error := stopped.exception()) is not None:
                # Said here, so that the next attempt comes after a pause.
                raise NodeError(f"the containers of pod {state.name} cannot be stopped") from error
        if state.alive and state.stopping is None:
            state.deadline = deadline
            state.stopping = asyncio.get_running_loop().create_task(self._stop(state), name=f"stop-{state.name}")
        if state.alive:
            if not state.gone:
                await self.write_status(state)
            return
        state.ended = True
        if not state.gone:
            await self.write_status(state)
        await self.discard(state)
        if not state.gone:
            await self._delete(state)

    async def _fail(self, state: PodState) -> None:
        """Ends what runs in a pod that goes no further; it stays in the API."""
        if state.alive and (state.stopping is None or state.stopping.done()):
            state.deadline = time.time() + self._grace(state)
            state.stopping = asyncio.get_running_loop().create_task(self._stop(state), name=f"stop-{state.name}")
        await self.write_status(state)

    async def _finish(self, state: PodState) -> None:
        """A pod whose own containers have ended: what else runs in it ends too, and it gives its address back."""
        if state.alive:
            await self._fail(state)
            return
        if state.stopping is not None:
            state.stopping = None
            await self.write_status(state)
        await self._release(state)

    async def _stop(self, state: PodState) -> None:
        try:
            await self._stopper.stop_pod(state)
        finally:
            self._wake(state.uid)

    async def _delete(self, state: PodState) -> None:
        if not self._parts.connection.up:
            raise NodeError("the API server cannot be reached from the node")
        try:
            await self._parts.client.delete(POD, state.name, state.namespace, grace_period_seconds=0, uid=state.uid)
        except (NotFound, Conflict):
            return

    async def _release(self, state: PodState) -> None:
        """A pod that has ended for good keeps its logs, and gives its address back."""
        await pause.remove(state, self._parts)
        if state.sandbox is not None:
            sandbox, state.sandbox, state.files_written = state.sandbox, None, False
            await self._parts.sandboxes.remove(sandbox)
        await self._parts.storage.staging.release(state.uid)

    async def _remove_all(self, state: PodState) -> None:
        for container in state.containers.values():
            if container.probes is not None:
                container.probes.stop()
                container.probes = None
            pulls.cancel(container)
            for attempt in (container.current, container.previous):
                if attempt is not None:
                    await self._parts.runtime.remove(attempt)
            container.current = container.previous = None
        await self._release(state)

    def _deletion_grace(self, state: PodState) -> float:
        grace = state.pod["metadata"].get("deletionGracePeriodSeconds")
        return self._grace(state) if grace is None else float(grace)

    def _grace(self, state: PodState) -> float:
        grace = state.pod["spec"].get("terminationGracePeriodSeconds")
        return float(DEFAULT_GRACE if grace is None else grace)


def _begins(container: ContainerState) -> None:
    """It has started; with probes those say the rest."""
    container.ready = container.running and not container.spec.get("readinessProbe")
    container.started = container.running and not container.spec.get("startupProbe")


def _until_retry(container: ContainerState) -> float | None:
    """Seconds until a container that waits is tried again; None for one whose image is on the way."""
    if container.image is not None and container.image.task is not None:
        return None
    return max(container.retry_at - time.time(), 0.0)


def _soonest(dues: list[float | None]) -> float | None:
    known = [due for due in dues if due is not None]
    return min(known) if known else None


def _duration(seconds: float) -> str:
    """As Go prints a duration: 10s, 1m20s, 5m0s."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def termination_message(container: Container, spec: Object) -> str:
    """What an ended container left to say, of its file or of its log; blocking, and the file may be huge."""
    text = ""
    with suppress(FileNotFoundError), open(container.record.termination_path, "rb") as file:
        text = file.read(MESSAGE_BYTES).decode(errors="replace")
    failed = container.exit is not None and container.exit.code != 0
    if not text and failed and spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
        text = logs.last_of(Path(container.record.log_path), MESSAGE_LINES, LOG_MESSAGE_BYTES)
    return text


def _remove_tree(directory: Path) -> None:
    shutil.rmtree(directory, ignore_errors=True)
