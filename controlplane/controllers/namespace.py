"""Empties a namespace that is being deleted, then lets it go.

    Namespace with a deletionTimestamp → delete all that is in it → finalize

Pods first, because other things may be needed while they stop; the rest at once. It lists through
the API and not through caches: what a cache has not shown yet would be left behind for ever.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from controlplane.api.errors import ApiError, Conflict, NotFound
from controlplane.api.kinds import NAMESPACE, POD
from controlplane.api.meta import timestamp
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import Clock, is_deleting

FINALIZER = "kubernetes"
FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 1.0
MOST_DOUBLINGS = 10

_CONTENT_REMAINING = "NamespaceContentRemaining"
_FINALIZERS_REMAINING = "NamespaceFinalizersRemaining"


class NamespaceController:
    """Reconciles Namespaces; `clock` stamps their conditions."""

    def __init__(self, client: Client, informers: Informers, *, clock: Clock = time.time) -> None:
        self._client = client
        self._clock = clock
        self._namespaces = informers.of(NAMESPACE)
        self._reconciler: Reconciler[ObjectKey] = Reconciler("namespace", self._reconcile)
        self._tries: dict[ObjectKey, int] = {}
        self._namespaces.add_handler(self._namespace_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._namespaces.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run(), name="namespace")

    def _namespace_changed(self, _: Object | None, new: Object | None) -> None:
        if new is not None and is_deleting(new):
            self._reconciler.queue.add(key_of(new))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        namespace = self._namespaces.get(key[1])
        if namespace is None or not is_deleting(namespace) or FINALIZER not in _finalizers(namespace):
            self._tries.pop(key, None)
            return None
        remaining = await self._empty(key[1])
        if remaining:
            await self._report(namespace, remaining)
            tries = self._tries[key] = self._tries.get(key, 0) + 1
            return float(min(FIRST_RETRY_SECONDS * 2 ** min(tries - 1, MOST_DOUBLINGS), LONGEST_RETRY_SECONDS))
        self._tries.pop(key, None)
        await self._finalize(namespace)
        return None

    async def _empty(self, namespace: str) -> dict[Kind, list[Object]]:
        """Deletes what is there, and returns what still is."""
        pods = await self._clear(POD, namespace)
        if pods:
            return {POD: pods}
        remaining = {}
        for kind in await self._kinds():
            left = await self._clear(kind, namespace)
            if left:
                remaining[kind] = left
        return remaining

    async def _kinds(self) -> list[Kind]:
        """What a namespace can hold and can be emptied of."""
        served = await self._client.kinds()
        return [kind for kind in served if kind.namespaced and {"list", "delete"} <= set(kind.verbs)]

    async def _clear(self, kind: Kind, namespace: str) -> list[Object]:
        items = (await self._client.list(kind, namespace)).items
        if not items:
            return []
        await asyncio.gather(*(self._delete(kind, obj) for obj in items if not is_deleting(obj)))
        return (await self._client.list(kind, namespace)).items

    async def _delete(self, kind: Kind, obj: Object) -> None:
        metadata = obj["metadata"]
        try:
            await self._client.delete(
                kind, metadata["name"], metadata["namespace"], uid=metadata["uid"], propagation_policy="Background"
            )
        except (NotFound, Conflict):
            # Gone, or another by now: the next listing tells.
            return

    async def _finalize(self, namespace: Object) -> None:
        left = [finalizer for finalizer in _finalizers(namespace) if finalizer != FINALIZER]
        body = {**namespace, "spec": {**namespace["spec"], "finalizers": left}}
        try:
            await self._client.update(NAMESPACE, body, subresource="finalize")
        except NotFound:
            return

    async def _report(self, namespace: Object, remaining: dict[Kind, list[Object]]) -> None:
        """Says in the namespace's conditions what it waits for, as upstream does."""
        conditions = deletion_conditions(remaining, timestamp(self._clock()))
        present = {entry["type"]: entry for entry in (namespace.get("status") or {}).get("conditions") or ()}
        for entry in conditions:
            known = present.get(entry["type"])
            if known is not None and known["status"] == entry["status"]:
                entry["lastTransitionTime"] = known["lastTransitionTime"]
        if list(present.values()) == conditions:
            return
        body = {"status": {"conditions": conditions}}
        try:
            await self._client.patch(NAMESPACE, namespace["metadata"]["name"], body=body, subresource="status")
        except ApiError as error:
            if not isinstance(error, NotFound | Conflict):
                raise


def deletion_conditions(remaining: dict[Kind, list[Object]], stamp: str) -> list[dict[str, Any]]:
    """The conditions of a namespace in which `remaining` is left."""
    counts = ", ".join(
        sorted(f"{_resource(kind)} has {len(objects)} resource instances" for kind, objects in remaining.items())
    )
    waits: dict[str, int] = {}
    for objects in remaining.values():
        for obj in objects:
            for finalizer in obj["metadata"].get("finalizers", ()):
                waits[finalizer] = waits.get(finalizer, 0) + 1
    held = ", ".join(sorted(f"{finalizer} in {count} resource instances" for finalizer, count in waits.items()))
    fine = [
        ("NamespaceDeletionDiscoveryFailure", "ResourcesDiscovered", "All resources successfully discovered"),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
    ]
    found = [_condition(type_, "False", reason, message, stamp) for type_, reason, message in fine]
    message = f"Some resources are remaining: {counts}"
    found.append(_condition(_CONTENT_REMAINING, "True", "SomeResourcesRemain", message, stamp))
    if held:
        message = f"Some content in the namespace has finalizers remaining: {held}"
        found.append(_condition(_FINALIZERS_REMAINING, "True", "SomeFinalizersRemain", message, stamp))
    else:
        message = "All content-preserving finalizers finished"
        found.append(_condition(_FINALIZERS_REMAINING, "False", "ContentHasNoFinalizers", message, stamp))
    return found


def _condition(type_: str, status: str, reason: str, message: str, stamp: str) -> dict[str, Any]:
    return {"type": type_, "status": status, "lastTransitionTime": stamp, "reason": reason, "message": message}


def _resource(kind: Kind) -> str:
    return f"{kind.plural}.{kind.group}"


def _finalizers(namespace: Object) -> list[str]:
    finalizers: list[str] = namespace["spec"].get("finalizers") or []
    return finalizers
