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
from controlplane.node import logs, mounting, pause, podfiles, pulls, standins
from controlplane.node import status as pod_status
from controlplane.node.containers import RETRY_SECONDS, ContainerKeeper
from controlplane.node.errors import ConfigFailure, NodeError, RuntimeFailure
from controlplane.node.hooks import Hooks
from controlplane.node.launch import Launcher
from controlplane.node.limits import Limits
from controlplane.node.parts import NodeParts
from controlplane.node.plan import addresses_of
from controlplane.node.runtime.container import Container
from controlplane.node.state import PodState
from controlplane.node.stopping import Stopper, grace_of
from controlplane.node.volumes.context import VolumeContext
from netsim.errors import NetsimError

MESSAGE_BYTES, MESSAGE_LINES = 4096, 80
LOG_MESSAGE_BYTES = 2048
_REMOVALS = 5
"""Attempts at a directory in which others remove files too, as those that rotate logs."""


class PodWorker:
    """Brings pods of one node to what they should be. `wake(uid)` asks for another step."""

    def __init__(self, parts: NodeParts, wake: Callable[[str], None]) -> None:
        self._parts = parts
        self._wake = wake
        self._launcher = Launcher(parts, wake)
        hooks = Hooks(parts)
        self._stopper = Stopper(parts, self._launcher, hooks)
        self._keeper = ContainerKeeper(parts, wake, self._launcher, hooks, self._stopper)
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
        self._keeper.watch_probes(state)
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
        body: Object = {"status": wanted}
        if state.api_uid:
            body["metadata"] = {"uid": state.api_uid}
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
            try:
                await self._parts.spawner.files(_remove_tree, directory)
            except OSError as error:
                raise NodeError(f"what pod {state.name} has left cannot be removed: {error}") from error
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
        for container in list(state.containers.values()):
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
        except (NetsimError, CniError, ConfigFailure, RuntimeFailure, OSError) as error:
            message = f"Failed to create pod sandbox: {error}"
            self._parts.recorder.event(state.pod, "Warning", "FailedCreatePodSandBox", message)
            return RETRY_SECONDS
        if not mounted:
            return RETRY_SECONDS
        dues = [await self._keeper.ensure_ephemeral(state, container) for container in state.of_role("ephemeral")]
        policy = state.pod["spec"].get("restartPolicy", "Always")
        for container in state.of_role("init", "sidecar"):
            if container.role == "init" and (container.succeeded or any(c.current for c in state.of_role("main"))):
                continue
            dues.append(await self._keeper.ensure(state, container, policy))
            done = container.succeeded if container.role == "init" else container.running and container.started
            if not done:
                return _soonest(dues)
        for container in state.of_role("main"):
            dues.append(await self._keeper.ensure(state, container, policy))
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
            cluster=parts.config.cluster,
            pod=state.pod,
            directory=self._launcher.data_dir(state) / "volumes",
            memory=parts.config.run / "volumes" / state.uid,
            sources=parts.sources,
            spawner=parts.spawner,
            outside=parts.outside,
            tokens=parts.tokens.get,
            addresses=addresses_of(state, parts.config.address),
            allocatable=parts.registration.allocatable,
            storage=parts.storage,
            recorder=parts.recorder,
            labels=parts.storage.node_labels(),
        )

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
            state.deadline = time.time() + grace_of(state)
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
            await self._parts.client.delete(POD, state.name, state.namespace, grace_period_seconds=0, uid=state.api_uid)
        except (NotFound, Conflict):
            return

    async def _release(self, state: PodState) -> None:
        """A pod that has ended for good keeps its logs, and gives its address back."""
        await pause.remove(state, self._parts)
        try:
            # Also one that could neither be made nor taken back: its state does not know it.
            await self._parts.sandboxes.remove(state.uid)
        except (NetsimError, CniError, OSError) as error:
            self._parts.recorder.event(state.pod, "Warning", "FailedKillPod", f"error killing pod: {error}")
            raise NodeError(f"the sandbox of pod {state.name} cannot be removed: {error}") from error
        state.sandbox, state.files_written = None, False
        await self._parts.storage.staging.release(state.uid)

    async def _remove_all(self, state: PodState) -> None:
        for container in list(state.containers.values()):
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
        return grace_of(state) if grace is None else float(grace)


def _soonest(dues: list[float | None]) -> float | None:
    known = [due for due in dues if due is not None]
    return min(known) if known else None


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
    """Removes a directory and all below it; what somebody else removes at the same time is no error."""
    for _ in range(_REMOVALS):
        if not directory.exists():
            return
        with suppress(FileNotFoundError):
            shutil.rmtree(directory)
    if directory.exists():
        raise OSError(f"{directory} is being written to")
