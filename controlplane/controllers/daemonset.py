"""Keeps one pod of a template on every node that fits, and rolls new templates out node by node.

    DaemonSet, nodes, pods (cache) → revision → one step: create, delete → trim history → status

What fits and what the next step is are pure functions (`daemon_pods`, `daemon_rollout`); the
scheduler places the pods.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from controlplane.api.errors import ApiError
from controlplane.api.kinds import DAEMON_SET, NODE
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.daemon_pods import by_node, daemon_pod, fit, node_of, tied_to
from controlplane.controllers.daemon_rollout import Step, View, manage, roll
from controlplane.controllers.meta import (
    Clock,
    controller_of,
    created_at,
    is_deleting,
    selects_everything,
    with_status,
)
from controlplane.controllers.owned_pods import OwnedPods
from controlplane.controllers.pacing import Backoff, Freshness, Throttle
from controlplane.controllers.pod_control import PodControl
from controlplane.controllers.pods import available_in, is_ready, phase
from controlplane.controllers.revisions import HASH_LABEL, Revisions, hash_of

BURST_REPLICAS = 250
STATUS_INTERVAL_SECONDS = 0.02
FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS = 1.0, 900.0


class DaemonSetController:
    """Reconciles DaemonSets; `clock` gives the present time for minReadySeconds."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._sets = informers.of(DAEMON_SET)
        self._nodes = informers.of(NODE)
        self._recorder = EventRecorder(client, "daemonset-controller")
        self._control = PodControl(client, self._recorder)
        self._reconciler: Reconciler[ObjectKey] = Reconciler("daemonset", self._reconcile)
        self._throttle = Throttle(self._reconciler.queue, STATUS_INTERVAL_SECONDS)
        self._pods = OwnedPods(client, informers, DAEMON_SET, self._control, self._throttle.add)
        self._revisions = Revisions(client, informers, DAEMON_SET, HASH_LABEL)
        self._freshness = Freshness()
        self._backoff: Backoff[tuple[str, str]] = Backoff(FIRST_BACKOFF_SECONDS, LONGEST_BACKOFF_SECONDS)
        self._sets.add_handler(self._set_changed)
        self._nodes.add_handler(self._node_changed)
        self._revisions.informer.add_handler(self._revision_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._pods.wait_synced()
        await self._nodes.wait_synced()
        await self._revisions.informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="daemonset-events")
            group.create_task(self._reconciler.run(), name="daemonset")

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._throttle.add(key_of(new))
        elif old is not None:
            self._control.expectations.forget(old["metadata"]["uid"])
            self._freshness.gone(key_of(old))

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _placing(old) == _placing(new):
            return
        for ds in self._sets.list():
            self._throttle.add(key_of(ds))

    def _revision_changed(self, old: Object | None, new: Object | None) -> None:
        """A revision that somebody deletes is made again."""
        owner = controller_of(old) if old is not None and new is None else None
        if owner is not None and owner["kind"] == DAEMON_SET.name:
            assert old is not None
            self._throttle.add((old["metadata"]["namespace"], owner["name"]))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        namespace, name = key
        ds = self._sets.get(name, namespace)
        if ds is None or self._freshness.is_stale(key, ds):
            return None
        if selects_everything(ds["spec"].get("selector")):
            message = "This daemon set is selecting all pods. A non-empty selector is required."
            self._recorder.event(ds, "Warning", "SelectingAll", message)
            return None
        if is_deleting(ds):
            return None
        history = await self._revisions.history(ds)
        pods = await self._pods.claimed(ds)
        revision_hash = hash_of(history.current, HASH_LABEL)
        fits = {node["metadata"]["name"]: fit(ds, node) for node in self._nodes.list()}
        view = View(ds, by_node(pods), fits, revision_hash, self._clock())
        error, again = None, None
        if self._control.expectations.satisfied(ds["metadata"]["uid"]):
            error, again = await self._step(view)
            live = {(pod["metadata"].get("labels") or {}).get(HASH_LABEL, "") for pod in pods}
            await self._revisions.trim(ds, history.old, live)
        status, due = daemonset_status(view)
        if status != ds.get("status"):
            self._freshness.wrote(await self._client.update(DAEMON_SET, with_status(ds, status), subresource="status"))
        if error is not None:
            raise error
        return min((seconds for seconds in (again, due) if seconds is not None), default=None)

    async def _step(self, view: View) -> tuple[ApiError | None, float | None]:
        step = manage(view)
        finished, again = self._due(view, step)
        delete = [*finished, *step.delete]
        if not delete and not step.create and view.ds["spec"]["updateStrategy"]["type"] == "RollingUpdate":
            step = roll(view)
            delete = step.delete
        pod = daemon_pod(view.ds, view.revision_hash)
        wanted = [tied_to(pod, node) for node in step.create[:BURST_REPLICAS]]
        created = await self._control.create_many(view.ds, wanted)
        deleted = await self._control.delete_many(view.ds, delete[:BURST_REPLICAS])
        return created or deleted, again

    def _due(self, view: View, step: Step) -> tuple[list[Object], float | None]:
        """The finished pods to delete now, told in events, and the seconds until those that fail often are due."""
        due: list[Object] = []
        waits: list[float] = []
        for pod in step.finished:
            metadata, node = pod["metadata"], node_of(pod)
            name = f"{metadata['namespace']}/{metadata['name']}"
            if phase(pod) == "Succeeded":
                message = f"Found succeeded daemon pod {name} on node {node}, will try to delete it"
                self._recorder.event(view.ds, "Normal", "SucceededDaemonPod", message)
            else:
                wait = self._backoff.attempt((view.ds["metadata"]["uid"], node), view.now)
                if wait:
                    waits.append(wait)
                    continue
                message = f"Found failed daemon pod {name} on node {node}, will try to kill it"
                self._recorder.event(view.ds, "Warning", "FailedDaemonPod", message)
            due.append(pod)
        return due, min(waits, default=None)


def daemonset_status(view: View) -> tuple[dict[str, Any], float | None]:
    """The status that describes the nodes, and the seconds until minReadySeconds will change it."""
    counts = dict.fromkeys(("current", "desired", "misscheduled", "ready", "updated", "available"), 0)
    min_ready = view.ds["spec"].get("minReadySeconds", 0)
    waits = []
    for node, judged in view.fits.items():
        pods = sorted(view.pods.get(node, ()), key=created_at)
        if not judged.should_run:
            counts["misscheduled"] += bool(pods)
            continue
        counts["desired"] += 1
        if not pods:
            continue
        counts["current"] += 1
        counts["ready"] += is_ready(pods[0])
        counts["updated"] += view.is_new(pods[0])
        wait = available_in(pods[0], min_ready, view.now)
        counts["available"] += wait == 0
        if wait:
            waits.append(wait)
    status = {
        "currentNumberScheduled": counts["current"],
        "numberMisscheduled": counts["misscheduled"],
        "desiredNumberScheduled": counts["desired"],
        "numberReady": counts["ready"],
        "observedGeneration": view.ds["metadata"].get("generation", 0),
        "updatedNumberScheduled": counts["updated"],
        "numberAvailable": counts["available"],
        "numberUnavailable": counts["desired"] - counts["available"],
    }
    optional = ("updatedNumberScheduled", "numberAvailable", "numberUnavailable")
    status = {name: count for name, count in status.items() if count or name not in optional}
    collisions = (view.ds.get("status") or {}).get("collisionCount")
    return (status | ({"collisionCount": collisions} if collisions else {})), min(waits, default=None)


def _placing(node: Object) -> tuple[Any, Any]:
    """What of a node decides whether daemon pods belong on it."""
    return node["metadata"].get("labels"), (node.get("spec") or {}).get("taints")
