"""Keeps pods with names that last, one after the other, and rolls new templates out from the last to the first.

    StatefulSet, pods (cache) → revisions → one step: create, delete → trim history → status

The step is a pure function (`stateful_pods`). The claims of a pod are made before it (`stateful_claims`).
"""

from __future__ import annotations

import asyncio
import time

from controlplane.api.errors import AlreadyExists, ApiError, NotFound, namespace_terminates
from controlplane.api.kinds import POD, STATEFUL_SET
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import Clock, is_deleting, with_status
from controlplane.controllers.owned_pods import OwnedPods
from controlplane.controllers.pacing import Freshness, Throttle
from controlplane.controllers.pod_control import PodControl, slow_start
from controlplane.controllers.pods import available_in
from controlplane.controllers.revisions import History, Revisions
from controlplane.controllers.stateful_claims import StatefulClaims
from controlplane.controllers.stateful_pods import (
    View,
    identity,
    is_member,
    ordinal_of,
    plan,
    revision_of,
    stateful_pod,
    stateful_status,
)

STATUS_INTERVAL_SECONDS = 0.02
REVISION_HASH = "controller.kubernetes.io/hash"


class StatefulSetController:
    """Reconciles StatefulSets; `clock` gives the present time for minReadySeconds."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._sets = informers.of(STATEFUL_SET)
        self._recorder = EventRecorder(client, "statefulset-controller")
        control = PodControl(client, self._recorder)
        self._expectations = control.expectations
        self._reconciler: Reconciler[ObjectKey] = Reconciler("statefulset", self._reconcile)
        self._throttle = Throttle(self._reconciler.queue, STATUS_INTERVAL_SECONDS)
        self._pods = OwnedPods(client, informers, STATEFUL_SET, control, self._throttle.add)
        self._revisions = Revisions(client, informers, STATEFUL_SET, REVISION_HASH)
        self._freshness = Freshness()
        self._claims = StatefulClaims(client, informers, self._recorder)
        self._sets.add_handler(self._set_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._pods.wait_synced()
        await self._revisions.informer.wait_synced()
        await self._claims.informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="statefulset-events")
            group.create_task(self._reconciler.run(), name="statefulset")

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._throttle.add(key_of(new))
        elif old is not None:
            self._expectations.forget(old["metadata"]["uid"])
            self._freshness.gone(key_of(old))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        namespace, name = key
        sts = self._sets.get(name, namespace)
        if sts is None or self._freshness.is_stale(key, sts):
            return None
        history = await self._revisions.history(sts)
        pods = await self._pods.claimed(sts, is_member)
        view = _view(sts, pods, history, self._clock())
        error = None
        if not is_deleting(sts) and self._expectations.satisfied(sts["metadata"]["uid"]):
            error = await self._step(view)
            live = {revision_of(pod) for pod in pods} | {view.current["metadata"]["name"]}
            await self._revisions.trim(sts, history.old, live)
        status = stateful_status(view)
        if status != sts.get("status"):
            written = await self._client.update(STATEFUL_SET, with_status(sts, status), subresource="status")
            self._freshness.wrote(written)
        if error is not None:
            raise error
        waits = (available_in(pod, sts["spec"].get("minReadySeconds", 0), view.now) for pod in pods)
        return min((wait for wait in waits if wait), default=None)

    async def _step(self, view: View) -> ApiError | None:
        for ordinal, pod in view.pods.items():
            await self._keep_identity(view.sts, ordinal, pod)
            scaled_away = ordinal not in view.ordinals
            await self._claims.keep_owners(view.sts, ordinal, pod, scaled_away=scaled_away)
        step = plan(view)
        ordinals = iter(step.create)
        created = await slow_start(len(step.create), lambda: self._create(view, next(ordinals)))
        errors = await asyncio.gather(*(self._delete(view.sts, pod) for pod in step.delete))
        return created or next((error for error in errors if error is not None), None)

    async def _keep_identity(self, sts: Object, ordinal: int, pod: Object) -> None:
        """Labels a pod that was adopted, or relabelled, with its own name and number."""
        wanted = identity(sts, ordinal)
        if is_deleting(pod) or wanted.items() <= (pod["metadata"].get("labels") or {}).items():
            return
        metadata = pod["metadata"]
        body = {"metadata": {"labels": wanted, "uid": metadata["uid"]}}
        try:
            await self._client.patch(POD, metadata["name"], metadata["namespace"], body=body)
        except NotFound:
            return
        self._tell(sts, "update", metadata["name"], None)

    async def _create(self, view: View, ordinal: int) -> ApiError | None:
        pod = stateful_pod(view, ordinal)
        uid, name = view.sts["metadata"]["uid"], pod["metadata"]["name"]
        self._expectations.expect(uid, name)
        try:
            await self._claims.ensure(view.sts, ordinal)
            await self._client.create(POD, pod, view.sts["metadata"]["namespace"])
        except ApiError as error:
            self._expectations.seen(uid, name)
            if namespace_terminates(error):
                return None
            if not isinstance(error, AlreadyExists):
                self._tell(view.sts, "create", name, error)
            return error
        self._tell(view.sts, "create", name, None)
        return None

    async def _delete(self, sts: Object, pod: Object) -> ApiError | None:
        metadata, owner = pod["metadata"], sts["metadata"]["uid"]
        self._expectations.expect(owner, metadata["uid"])
        try:
            await self._client.delete(POD, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except NotFound:
            self._expectations.seen(owner, metadata["uid"])
            return None
        except ApiError as error:
            self._expectations.seen(owner, metadata["uid"])
            self._tell(sts, "delete", metadata["name"], error)
            return error
        self._tell(sts, "delete", metadata["name"], None)
        return None

    def _tell(self, sts: Object, verb: str, name: str, error: ApiError | None) -> None:
        what = f"{verb} Pod {name} in StatefulSet {sts['metadata']['name']}"
        if error is None:
            self._recorder.event(sts, "Normal", f"Successful{verb.title()}", f"{what} successful")
        else:
            self._recorder.event(sts, "Warning", f"Failed{verb.title()}", f"{what} failed error: {error.message}")


def _view(sts: Object, pods: list[Object], history: History, now: float) -> View:
    wanted = (sts.get("status") or {}).get("currentRevision")
    current = next((one for one in history.old if one["metadata"]["name"] == wanted), history.current)
    by_ordinal = {ordinal: pod for pod in pods if (ordinal := ordinal_of(sts, pod)) is not None}
    return View(sts, dict(sorted(by_ordinal.items())), current, history.current, now)
