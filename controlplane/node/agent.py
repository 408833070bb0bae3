"""The node agent: the kubelet's work for one emulated node, many of which share a process.

It registers the node, keeps its Lease, takes over what an earlier daemon left running, and hands each pod that is
bound to the node to a `PodWorker`, on a bounded number of workers. It is also that node's `NodeStreams`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Iterable, Iterator

from controlplane.api.kinds import CONFIG_MAP, POD, SECRET
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Handler, Informer, Informers
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.node import log_rotation, pulls, standins
from controlplane.node.adoption import adopt
from controlplane.node.assembly import assemble
from controlplane.node.config import NodeConfig
from controlplane.node.errors import NodeError
from controlplane.node.network import PodGuard, PodNetwork
from controlplane.node.runtime.cgroups import node_cgroup
from controlplane.node.runtime.container import Container
from controlplane.node.state import OWN_CONDITIONS, PodState, container_states, uses_source
from controlplane.node.static_pods import StaticPods
from controlplane.node.streams import Streams
from controlplane.node.usage import UsageMeter
from controlplane.node.volumes.report import VolumesInUse
from controlplane.node.worker import PodWorker

log = logging.getLogger(__name__)

BY_NODE = "node"
REFRESH_SECONDS = 90.0
"""Soon enough for tokens of ten minutes, which are renewed after eight."""


def _node_of(pod: Object) -> Iterable[str]:
    name = pod["spec"].get("nodeName")
    return (name,) if name else ()


class NodeAgent(Streams):
    """One node. `run` works until cancelled and leaves the containers running; after a failure it may be called again,
    and then takes over what runs, as the agent of a new daemon would."""

    def __init__(
        self,
        client: Client,
        informers: Informers,
        config: NodeConfig,
        *,
        network: PodNetwork | None = None,
        guard: PodGuard | None = None,
    ) -> None:
        self._config = config
        self._pods = informers.of(POD)
        self._pods.add_index(BY_NODE, _node_of)
        self._parts = assemble(
            client,
            informers,
            config,
            network=network,
            guard=guard,
            ended=self._container_ended,
            back=self._catch_up,
        )
        storage = self._parts.storage
        self._handlers: list[tuple[Informer, Handler]] = [
            (self._pods, self._pod_changed),
            (self._parts.services, self._service_changed),
            (informers.of(CONFIG_MAP), functools.partial(self._source_changed, CONFIG_MAP)),
            (informers.of(SECRET), functools.partial(self._source_changed, SECRET)),
            (storage.claims, self._storage_changed),
            (storage.volumes, self._storage_changed),
            (storage.attachments, self._storage_changed),
        ]
        self.registered = asyncio.Event()
        """Set while the node is registered and its pods are worked on."""
        self._working = False
        self._static = StaticPods(client, config, self._parts.spawner, self._pods, BY_NODE, dropped=self._dropped)
        self._states: dict[str, PodState] = {}
        self._reconciler: Reconciler[str] = Reconciler(f"node-{config.name}", self._reconcile, workers=config.workers)
        self._worker = PodWorker(self._parts, self._reconciler.queue.add)
        self.usage = UsageMeter(node_cgroup(config.cluster, config.name), self._states.values, self._parts.spawner)
        super().__init__(self._parts, self._state_of_pod)

    @property
    def config(self) -> NodeConfig:
        """What the agent was told."""
        return self._config

    @property
    def connected(self) -> bool:
        """Whether the API server could be reached from the node when that was last tried."""
        return self._parts.connection.up

    async def run(self) -> None:
        """Registers, adopts, and works until cancelled."""
        self._config.run.mkdir(parents=True, exist_ok=True)
        self._config.pods.mkdir(parents=True, exist_ok=True)
        self._parts.sandboxes.open()
        try:
            await self._parts.registration.register()
            for informer, _ in self._handlers:
                await informer.wait_synced()
            await self._static.look()
            self._working = True
            self._listen()
            orphans = await adopt(self._parts, self._states)
            self._states |= orphans
            for uid, state in self._states.items():
                state.standins_due = True
                self._reconciler.queue.add(uid)
            self.registered.set()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._warm_up(), name=f"stand-in-{self._config.name}")
                group.create_task(self._refresh(), name=f"volumes-{self._config.name}")
                group.create_task(VolumesInUse(self._parts.storage).run(), name=f"volumes-in-use-{self._config.name}")
                group.create_task(
                    log_rotation.run(self._running_containers, self._parts.spawner), name=f"logs-{self._config.name}"
                )
                group.create_task(self._static.run(), name=f"static-pods-{self._config.name}")
                group.create_task(self._parts.recorder.run(), name=f"events-{self._config.name}")
                group.create_task(self._parts.registration.run(), name=f"lease-{self._config.name}")
                group.create_task(self.usage.run(), name=f"usage-{self._config.name}")
                group.create_task(self._reconciler.run(), name=f"pods-{self._config.name}")
        finally:
            await self._let_go()

    def _listen(self) -> None:
        """Has changes told from now on; pods that are there already are in `_states` afterwards."""
        for pod in self._present():
            self._states[pod["metadata"]["uid"]] = self._new_state(pod)
        for informer, handler in self._handlers:
            informer.add_handler(handler)

    def _running_containers(self) -> Iterator[Container]:
        for state in self._states.values():
            for place in state.containers.values():
                if place.running and place.current is not None:
                    yield place.current

    async def _warm_up(self) -> None:
        """Has the stand-in compiled before the first pod wants it."""
        try:
            await self._parts.spawner.files(self._parts.standin.skeleton)
        except (NodeError, OSError) as error:
            # A pod that wants it says so.
            log.warning("no stand-in server", extra={"error": str(error)})

    async def _reconcile(self, uid: str) -> float | None:
        state = self._states.get(uid)
        if state is None:
            return None
        again = await self._worker.step(state)
        if state.gone and not state.alive and state.sandbox is None:
            self._states.pop(uid, None)
        return again

    # What is told to the workers.

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        if not self._working or pod is None or pod["spec"].get("nodeName") != self._config.name:
            return
        if not self._parts.connection.up:
            # The node is cut off; `_catch_up` sees to it later.
            return
        old, new = self._static.seen(old), self._static.seen(new)
        self._seen(old, new)

    def _seen(self, old: Object | None, new: Object | None) -> None:
        uid = (new or old or {})["metadata"]["uid"]
        state = self._states.get(uid)
        if state is None:
            if new is None:
                return
            state = self._states[uid] = self._new_state(new)
        elif new is None:
            if self._static.wants(uid):
                return
            state.gone = True
        else:
            if state.overwritten(new) or (old is None and state.static):
                # What was said in this node's name while it was not heard of has to be taken back.
                state.written = None
            elif old is not None and _only_status(old, new):
                state.pod = new
                return
            state.renew(new)
        self._reconciler.queue.add(uid)

    def _catch_up(self) -> None:
        """Takes notice of what became of the node's pods while the node was cut off."""
        if not self._working:
            return
        present = {pod["metadata"]["uid"]: pod for pod in self._present()}
        for uid, state in list(self._states.items()):
            if not state.gone:
                self._seen(state.pod, present.get(uid))
            self._reconciler.queue.add(uid)
        for uid in present.keys() - self._states.keys():
            self._seen(None, present[uid])

    def _present(self) -> Iterator[Object]:
        """The node's pods in the API, as the node sees them."""
        for pod in self._pods.by_index(BY_NODE, self._config.name):
            seen = self._static.seen(pod)
            if seen is not None:
                yield seen

    def _state_of_pod(self, pod: Object) -> PodState | None:
        return self._states.get((self._static.seen(pod) or pod)["metadata"]["uid"])

    def _new_state(self, pod: Object) -> PodState:
        return PodState(pod, container_states(pod), static=self._static.known(pod["metadata"]["uid"]))

    def _dropped(self, digest: str) -> None:
        """A static pod's manifest is not there any more, and no mirror either."""
        state = self._states.get(digest)
        if state is not None:
            state.gone = True
            self._reconciler.queue.add(digest)

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        services = [service for service in (old, new) if service is not None]
        for uid, state in self._states.items():
            if any(standins.concerns(service, state) for service in services):
                state.standins_due = True
                self._reconciler.queue.add(uid)

    def _source_changed(self, kind: Kind, old: Object | None, new: Object | None) -> None:
        if new is None:
            return
        namespace, name = new["metadata"]["namespace"], new["metadata"]["name"]
        for uid, state in self._states.items():
            if state.namespace == namespace and uses_source(state.pod, kind, name):
                state.volumes_due = True
                self._reconciler.queue.add(uid)

    def _storage_changed(self, old: Object | None, new: Object | None) -> None:
        for uid in self._parts.storage.concerned(new or old or {}):
            state = self._states.get(uid)
            if state is not None:
                state.volumes_due = True
                self._reconciler.queue.add(uid)

    async def _refresh(self) -> None:
        """Has volumes looked at now and then: tokens want to be renewed."""
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            for uid, state in self._states.items():
                state.volumes_due = True
                self._reconciler.queue.add(uid)

    def _container_ended(self, container: Container) -> None:
        self._reconciler.queue.add(container.record.pod_uid)

    async def _let_go(self) -> None:
        self._working = False
        self.registered.clear()
        for informer, handler in self._handlers:
            informer.remove_handler(handler)
        for state in self._states.values():
            tasks = [task for c in state.containers.values() for task in (c.stopping, c.post_start)]
            for container in state.containers.values():
                pulls.cancel(container)
            for task in (state.stopping, *tasks):
                if task is not None:
                    task.cancel()
            for container in state.containers.values():
                if container.probes is not None:
                    container.probes.stop()
                if container.current is not None:
                    self._parts.runtime.close(container.current)
            if state.pause is not None:
                self._parts.runtime.close(state.pause)
        self._worker.close()
        self._parts.outside.close()
        self.close_streams()
        self._states.clear()
        await self._parts.sandboxes.close()


def _only_status(old: Object, new: Object) -> bool:
    """Whether nothing changed that a worker acts on: most changes of a pod are the agent's own status."""
    before, after = old["metadata"], new["metadata"]
    return (
        before.get("deletionTimestamp") == after.get("deletionTimestamp")
        and before.get("labels") == after.get("labels")
        and before.get("annotations") == after.get("annotations")
        and old["spec"] == new["spec"]
        and _foreign_conditions(old) == _foreign_conditions(new)
    )


def _foreign_conditions(pod: Object) -> list[Object]:
    conditions = (pod.get("status") or {}).get("conditions") or []
    return [condition for condition in conditions if condition["type"] not in OWN_CONDITIONS]
