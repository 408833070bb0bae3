"""Counts for each PodDisruptionBudget how many of its pods may go; evictions are decided by these counts.

How many there should be is what the scales of the pods' owners say, where the budget names a percentage or what may
be missing. A pod whose eviction was allowed counts as gone from then on, for two minutes.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from typing import Any

from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import (
    DEPLOYMENT,
    POD,
    POD_DISRUPTION_BUDGET,
    REPLICA_SET,
    REPLICATION_CONTROLLER,
    STATEFUL_SET,
)
from controlplane.api.meta import timestamp
from controlplane.api.selectors import compile_selector, format_selector
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import Clock, controller_of, is_deleting, parse_time, with_status
from controlplane.controllers.pods import is_ready

DELETION_SECONDS = 120.0
"""How long a pod whose eviction was allowed may take to be deleted."""

UNMANAGED = (
    "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, the "
    "status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these "
    'pods please set ".spec.minAvailable" field of the PDB to an integer value.'
)


class NoScale(Exception):
    """It cannot be said how many pods there should be; the text is upstream's."""


class DisruptionController:
    """Reconciles PodDisruptionBudgets; `clock` gives the present time."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._budgets = informers.of(POD_DISRUPTION_BUDGET)
        self._pods = informers.of(POD)
        kinds = (DEPLOYMENT, REPLICA_SET, REPLICATION_CONTROLLER, STATEFUL_SET)
        self._owners = {(kind.api_version, kind.name): informers.of(kind) for kind in kinds}
        self._recorder = EventRecorder(client, "controllermanager")
        self._reconciler: Reconciler[ObjectKey] = Reconciler("disruption", self._reconcile, workers=1)
        self._budgets.add_handler(self._budget_changed)
        self._pods.add_handler(self._pod_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (self._budgets, self._pods, *self._owners.values()):
            await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="disruption-events")
            group.create_task(self._reconciler.run(), name="disruption")

    def _budget_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None:
            self._reconciler.queue.add(key_of(new))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        either = new or old
        if either is None:
            return
        for budget in self._budgets.list(either["metadata"]["namespace"]):
            selects = compile_selector(budget["spec"].get("selector"))
            if any(pod is not None and selects(pod["metadata"].get("labels") or {}) for pod in (old, new)):
                self._reconciler.queue.add(key_of(budget))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        budget = self._budgets.get(key[1], key[0])
        if budget is None or is_deleting(budget):
            return None
        selects = compile_selector(budget["spec"].get("selector"))
        pods = [pod for pod in self._pods.list(key[0]) if selects(pod["metadata"].get("labels") or {})]
        if not pods:
            self._recorder.event(budget, "Normal", "NoPods", "No matching pods found")
        disrupted, again = self._disrupted(budget, pods)
        try:
            expected, desired, unmanaged = self._wanted(budget, pods)
        except NoScale as error:
            text = f"Failed to calculate the number of expected pods: {error}"
            self._recorder.event(budget, "Warning", "CalculateExpectedPodCountFailed", text)
            await self._write(budget, self._failed(budget, str(error)))
            return again
        if unmanaged:
            text = UNMANAGED.format(selector=format_selector(budget["spec"].get("selector")))
            self._recorder.event(budget, "Warning", "UnmanagedPods", text)
        healthy = [p for p in pods if not is_deleting(p) and p["metadata"]["name"] not in disrupted and is_ready(p)]
        await self._write(budget, self._counted(budget, expected, desired, len(healthy), disrupted))
        return again

    def _disrupted(self, budget: Object, pods: Sequence[Object]) -> tuple[dict[str, str], float | None]:
        """The evicted pods that are not deleted yet, and the seconds until one of them is no longer believed in."""
        said = (budget.get("status") or {}).get("disruptedPods") or {}
        found: dict[str, str] = {}
        waits = []
        for pod in pods:
            name = pod["metadata"]["name"]
            if is_deleting(pod) or name not in said:
                continue
            left = parse_time(said[name]) + DELETION_SECONDS - self._clock()
            if left > 0:
                found[name] = said[name]
                waits.append(left)
            else:
                where = f"{budget['metadata']['namespace']}/{budget['metadata']['name']}"
                text = f"Pod was expected by PDB {where} to be deleted but it wasn't"
                self._recorder.event(pod, "Warning", "NotDeleted", text)
        return found, min(waits, default=None)

    def _wanted(self, budget: Object, pods: Sequence[Object]) -> tuple[int, int, bool]:
        """How many pods there should be, how many have to be healthy, and whether any has no controller."""
        spec = budget["spec"]
        least, most = spec.get("minAvailable"), spec.get("maxUnavailable")
        if most is not None:
            expected, unmanaged = self._scale(pods)
            return expected, max(0, expected - _share(most, expected)), unmanaged
        if isinstance(least, str):
            expected, unmanaged = self._scale(pods)
            return expected, _share(least, expected), unmanaged
        return len(pods), least or 0, False

    def _scale(self, pods: Sequence[Object]) -> tuple[int, bool]:
        """The sum of what the owners of `pods` ask for, and whether a pod has none."""
        scales: dict[str, int] = {}
        unmanaged = False
        for pod in pods:
            owner = controller_of(pod)
            if owner is None:
                unmanaged = True
            elif owner["uid"] not in scales:
                uid, count = self._scale_of(pod, owner)
                scales[owner["uid"]] = 0
                scales[uid] = count
        return sum(scales.values()), unmanaged

    def _scale_of(self, pod: Object, owner: dict[str, Any]) -> tuple[str, int]:
        """Who sets how many such pods there are, a Deployment rather than its ReplicaSet, and how many."""
        namespace = pod["metadata"]["namespace"]
        informer = self._owners.get((owner["apiVersion"], owner["kind"]))
        found = informer.get(owner["name"], namespace) if informer is not None else None
        if found is None or found["metadata"]["uid"] != owner["uid"]:
            raise NoScale(f'found no controllers for pod "{pod["metadata"]["name"]}"')
        above = controller_of(found)
        if above is not None and (above["apiVersion"], above["kind"]) == (DEPLOYMENT.api_version, DEPLOYMENT.name):
            deployment = self._owners[DEPLOYMENT.api_version, DEPLOYMENT.name].get(above["name"], namespace)
            found = deployment if deployment is not None else found
        return found["metadata"]["uid"], found["spec"].get("replicas", 1)

    def _counted(
        self, budget: Object, expected: int, desired: int, healthy: int, disrupted: dict[str, str]
    ) -> dict[str, Any]:
        allowed = max(0, healthy - desired) if expected > 0 else 0
        status: dict[str, Any] = {
            "disruptionsAllowed": allowed,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "expectedPods": expected,
            "observedGeneration": budget["metadata"].get("generation", 0),
            "conditions": [self._condition(budget, allowed > 0, "SufficientPods" if allowed else "InsufficientPods")],
        }
        return status | ({"disruptedPods": disrupted} if disrupted else {})

    def _failed(self, budget: Object, message: str) -> dict[str, Any]:
        """No disruption is allowed while the number cannot be told."""
        generation = budget["metadata"].get("generation", 0)
        kept = dict(budget.get("status") or {})
        condition = self._condition(budget, False, "SyncFailed", message)
        return kept | {"disruptionsAllowed": 0, "observedGeneration": generation, "conditions": [condition]}

    def _condition(self, budget: Object, allowed: bool, reason: str, message: str = "") -> dict[str, Any]:
        old: dict[str, Any] = next(iter((budget.get("status") or {}).get("conditions") or ()), {})
        state = "True" if allowed else "False"
        since = old["lastTransitionTime"] if old.get("status") == state else timestamp(self._clock())
        return {
            "type": "DisruptionAllowed",
            "status": state,
            "observedGeneration": budget["metadata"].get("generation", 0),
            "lastTransitionTime": since,
            "reason": reason,
            "message": message,
        }

    async def _write(self, budget: Object, status: dict[str, Any]) -> None:
        if status == budget.get("status"):
            return
        try:
            await self._client.update(POD_DISRUPTION_BUDGET, with_status(budget, status), subresource="status")
        except NotFound:
            return
        except Conflict:
            # An eviction has taken one meanwhile: that change brings the key back.
            return


def _share(value: int | str, whole: int) -> int:
    """A number, or a percentage of `whole` rounded up."""
    return math.ceil(int(value.removesuffix("%")) * whole / 100) if isinstance(value, str) else value
