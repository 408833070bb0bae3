"""Gives every pod a node.

    pods, nodes (informers) → queue, cache → decide → assume → pods/binding → event
                                              └→ preempt → victims deleted, node promised

Decisions are taken one after another, on the cache; bindings are written many at a time, and victims of
preemptions deleted likewise. Nothing is moved: a pod that has to go is deleted, and whoever made it makes another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial

from controlplane.api.errors import ApiError, Conflict, NotFound
from controlplane.api.kinds import BINDING, NAMESPACE, NODE, POD, POD_DISRUPTION_BUDGET
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.scheduler.cache import Cache
from controlplane.scheduler.claims import BindingFailed, Claims
from controlplane.scheduler.decision import Decision, decide, explain
from controlplane.scheduler.framework import ClusterEvent
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.nominations import Nominations
from controlplane.scheduler.plugins import default_plugins
from controlplane.scheduler.pod_info import PodInfo
from controlplane.scheduler.preemption import Candidate, preempt
from controlplane.scheduler.queue import SchedulingQueue
from controlplane.scheduler.status import waiting_status
from controlplane.scheduler.victims import remove_victims

log = logging.getLogger(__name__)

NAME = "default-scheduler"
CONCURRENT_BINDINGS = 128
STATUS_WRITERS = 8
DECISIONS_IN_A_ROW = 16
"""After so many decisions the event loop gets a turn, so that a thousand pods do not hold up a packet of HTTP."""


class Scheduler:
    """Places the pods whose schedulerName is `name`; others' pods are counted and left alone."""

    def __init__(
        self, client: Client, informers: Informers, *, name: str = NAME, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._name = name
        self._clock = clock
        self._pods = informers.of(POD)
        self._nodes = informers.of(NODE)
        self._namespaces = informers.of(NAMESPACE)
        self._recorder = EventRecorder(client, name)
        self._cache = Cache()
        self._queue = SchedulingQueue()
        self._claims = Claims(client, informers)
        self._filters, self._scores = default_plugins(self._namespace_labels, self._claims)
        self._budgets = informers.of(POD_DISRUPTION_BUDGET)
        self._nominations = Nominations()
        self._group: asyncio.TaskGroup | None = None
        self._preempting: dict[str, bool] = {}
        self._statuses: dict[str, tuple[PodInfo, Mapping[str, object]]] = {}
        self._status: Reconciler[str] = Reconciler("scheduler-status", self._write_status, workers=STATUS_WRITERS)
        self._nodes.add_handler(self._node_changed)
        self._pods.add_handler(self._pod_changed)
        self._claims.listen(self._claims_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (self._nodes, self._namespaces, self._budgets, self._pods):
            await informer.wait_synced()
        await self._claims.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="scheduler-events")
            group.create_task(self._status.run(), name="scheduler-status")
            self._group = group
            group.create_task(self._schedule(group), name="scheduler")

    def decide(self, pod: Object) -> tuple[Decision, list[NodeInfo]]:
        """What would be decided for `pod` now, and the nodes that were asked; nothing is changed."""
        nodes = self._cache.available_nodes()
        return decide(PodInfo.of(pod), nodes, self._filters, self._scores), nodes

    def nodes(self) -> Mapping[str, NodeInfo]:
        """The nodes by name, with the pods that count on each, those just decided included."""
        return self._cache.nodes

    async def _schedule(self, group: asyncio.TaskGroup) -> None:
        decisions = 0
        slots = asyncio.Semaphore(CONCURRENT_BINDINGS)
        while True:
            await slots.acquire()
            pod = await self._queue.get()
            try:
                node = self._place(pod)
            except Exception:  # one pod that cannot be understood must not stop the others
                log.exception("no decision", extra={"pod": f"{pod.namespace}/{pod.name}"})
                self._queue.refused(pod, ())
                node = None
            if node is None:
                slots.release()
            else:
                task = group.create_task(self._bind(pod, node), name="scheduler-bind")
                task.add_done_callback(partial(self._bound, pod, slots))
            decisions += 1
            if decisions % DECISIONS_IN_A_ROW == 0:
                await asyncio.sleep(0)

    def _place(self, pod: PodInfo) -> str | None:
        """Decides for one pod, and counts it on its node; None where it has to wait."""
        if pod.uid in self._preempting:
            # Its victims are being deleted; it is tried again when they are.
            self._preempting[pod.uid] = True
            self._queue.refused(pod, ())
            return None
        nodes = self._cache.available_nodes()
        decision = decide(
            pod,
            nodes,
            self._filters,
            self._scores,
            promised=self._nominations.against(pod),
            preferred=self._nominations.node_of(pod.uid),
        )
        if decision.node is None:
            self._refuse(pod, decision, nodes)
            return None
        self._nominations.remove(pod.uid)
        self._cache.assume(pod, decision.node.name)
        self._claims.assume(pod, decision.node)
        return decision.node.name

    def _refuse(self, pod: PodInfo, decision: Decision, nodes: list[NodeInfo]) -> None:
        """Has the pod wait, and others go for it where that helps."""
        self._queue.refused(pod, [plugin for plugin, _ in decision.refusals.values()])
        message = explain(decision)
        if nodes:
            promised = self._nominations.node_of(pod.uid)
            outcome = preempt(pod, decision, nodes, self._filters, budgets=self._budgets.list(), nominated=promised)
            message += f" preemption: {outcome.message}" if outcome.message else ""
            if outcome.candidate is not None:
                self._nominate(pod, outcome.candidate)
            elif not outcome.waiting:
                self._nominations.remove(pod.uid)
        self._recorder.event(pod.pod, "Warning", "FailedScheduling", message)
        self._tell(pod, "Unschedulable", message)

    def _nominate(self, pod: PodInfo, candidate: Candidate) -> None:
        for other in self._nominations.lower(candidate.node, pod.priority):
            # The node was promised to it; it may be preempted before it is even there.
            self._nominations.remove(other.uid)
        self._nominations.set(pod, candidate.node)
        self._preempting[pod.uid] = False
        assert self._group is not None, "only while `run` does"
        removal = remove_victims(self._client, self._recorder, candidate, pod, scheduler=self._name)
        task = self._group.create_task(removal, name="scheduler-preempt")
        task.add_done_callback(lambda _: self._preempted(pod))

    def _preempted(self, pod: PodInfo) -> None:
        if self._preempting.pop(pod.uid, False):
            self._queue.failed(pod)

    async def _bind(self, pod: PodInfo, node: str) -> None:
        binding: Object = {
            "apiVersion": BINDING.api_version,
            "kind": BINDING.name,
            "metadata": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid},
            "target": {"kind": NODE.name, "name": node},
        }
        try:
            await self._claims.bind(pod)
            await self._client.create(POD, binding, pod.namespace, subresource="binding", name=pod.name)
        except (Conflict, NotFound):
            # Bound by another, replaced or gone; the informer will say which.
            self._take_back(pod)
        except BindingFailed as error:
            self._take_back(pod)
            self._recorder.event(pod.pod, "Warning", "FailedScheduling", str(error))
        except (ApiError, OSError) as error:
            self._take_back(pod)
            log.warning("binding failed", extra={"pod": f"{pod.namespace}/{pod.name}", "error": str(error)})
        else:
            self._queue.remove(pod.uid)
            message = f"Successfully assigned {pod.namespace}/{pod.name} to {node}"
            self._recorder.event(pod.pod, "Normal", "Scheduled", message)

    def _bound(self, pod: PodInfo, slots: asyncio.Semaphore, task: asyncio.Task[None]) -> None:
        slots.release()
        if task.cancelled():
            # Not known to be written; a task cancelled before its first step could not say so itself.
            self._take_back(pod)

    def _take_back(self, pod: PodInfo) -> None:
        """Undoes a decision that could not be written, and lets the pod be tried again."""
        self._cache.forget(pod.uid)
        self._claims.forget(pod.uid)
        self._queue.failed(pod)

    def _tell(self, pod: PodInfo, reason: str, message: str) -> None:
        """Has the status written; of several that wait for one pod the last counts."""
        nominated = self._nominations.node_of(pod.uid)
        status = waiting_status(pod.pod, reason, message, self._clock(), nominated=nominated)
        if status is not None:
            self._statuses[pod.uid] = (pod, status)
            self._status.queue.add(pod.uid)

    async def _write_status(self, uid: str) -> None:
        told = self._statuses.pop(uid, None)
        if told is None:
            return
        pod, status = told
        body = {"metadata": {"uid": uid}, "status": status}
        try:
            await self._client.patch(
                POD, pod.name, pod.namespace, body=body, patch_type="strategic", subresource="status"
            )
        except (NotFound, Conflict):
            # Gone, or replaced by another of its name.
            return

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        uid = (new or old or {})["metadata"]["uid"]
        if new is None or new.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            self._queue.remove(uid)
            self._nominations.remove(uid)
            if self._cache.is_placed(uid):
                self._cache.remove_pod(uid)
                self._queue.happened(ClusterEvent.POD_GONE)
            return
        node = new["spec"].get("nodeName")
        if node:
            self._placed(old, new, node)
        elif new["spec"].get("schedulerName", NAME) == self._name and not self._cache.is_placed(uid):
            self._wants_node(old, new)

    def _placed(self, old: Object | None, new: Object, node: str) -> None:
        was_placed = old is not None and bool(old["spec"].get("nodeName"))
        if was_placed and old is not None and not _counts_differ(old, new):
            return
        self._queue.remove(new["metadata"]["uid"])
        self._nominations.remove(new["metadata"]["uid"])
        self._cache.set_pod(PodInfo.of(new), node)
        if not was_placed or (old is not None and old["metadata"].get("labels") != new["metadata"].get("labels")):
            self._queue.happened(ClusterEvent.POD_ADDED)

    def _wants_node(self, old: Object | None, pod: Object) -> None:
        metadata, spec = pod["metadata"], pod["spec"]
        promised = (pod.get("status") or {}).get("nominatedNodeName")
        if old is None and promised:
            # By the scheduler before this one.
            self._nominations.set(PodInfo.of(pod), promised)
        if "deletionTimestamp" in metadata:
            self._queue.remove(metadata["uid"])
            self._nominations.remove(metadata["uid"])
        elif spec.get("schedulingGates"):
            message = "Scheduling is blocked due to non-empty scheduling gates"
            self._tell(PodInfo.of(pod), "SchedulingGated", message)
        else:
            self._queue.set(PodInfo.of(pod))

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if new is None:
            assert old is not None
            self._cache.remove_node(old["metadata"]["name"])
            return
        events = _node_events(old, new)
        if not events:
            return
        self._cache.set_node(new)
        for event in events:
            self._queue.happened(event)

    def _claims_changed(self, uid: str | None) -> None:
        if uid is None:
            self._queue.happened(ClusterEvent.STORAGE)
        else:
            self._queue.retry(uid)

    def _namespace_labels(self, name: str) -> Mapping[str, str]:
        namespace = self._namespaces.get(name)
        return (namespace["metadata"].get("labels") or {}) if namespace is not None else {}


def _counts_differ(old: Object, new: Object) -> bool:
    """Whether a placed pod changed in what the cache counts."""
    before, after = old["metadata"], new["metadata"]
    return (
        (old["spec"] is not new["spec"] and old["spec"] != new["spec"])
        or before.get("labels") != after.get("labels")
        or ("deletionTimestamp" in before) != ("deletionTimestamp" in after)
    )


def _node_events(old: Object | None, new: Object) -> list[ClusterEvent]:
    if old is None:
        return [ClusterEvent.NODE_ADDED]
    before, after = old.get("spec") or {}, new.get("spec") or {}
    old_status, new_status = old.get("status") or {}, new.get("status") or {}
    found = []
    if old["metadata"].get("labels") != new["metadata"].get("labels"):
        found.append(ClusterEvent.NODE_LABELS)
    if before.get("taints") != after.get("taints"):
        found.append(ClusterEvent.NODE_TAINTS)
    if before.get("unschedulable") != after.get("unschedulable"):
        found.append(ClusterEvent.NODE_SCHEDULABLE)
    if any(old_status.get(field) != new_status.get(field) for field in ("allocatable", "capacity")):
        found.append(ClusterEvent.NODE_ALLOCATABLE)
    return found
