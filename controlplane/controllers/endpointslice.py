"""Keeps the EndpointSlices of every Service with a selector equal to the pods that it selects.

    Services, pods, nodes, slices (caches) → endpoints by ports → plan → create, update, delete

A single change is written at once; of a burst the first change, and then what has gathered every
few milliseconds. Slices made by hand, or by others, are not touched.
"""

from __future__ import annotations

import asyncio

from controlplane.api.errors import NotFound
from controlplane.api.kinds import ENDPOINT_SLICE
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.endpoints_of import grouped, has_endpoints
from controlplane.controllers.pacing import Freshness, Throttle
from controlplane.controllers.pods import condition
from controlplane.controllers.service_watch import ServiceWatch
from controlplane.controllers.slices import MANAGED_BY, MANAGER, SERVICE_NAME, Changes, plan

BATCH_SECONDS = 0.02
OWN_SLICES = "own-slices"


class EndpointSliceController:
    """Reconciles Services, by their key."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._reconciler: Reconciler[ObjectKey] = Reconciler("endpointslice", self._reconcile)
        self._throttle = Throttle(self._reconciler.queue, BATCH_SECONDS)
        self._watch = ServiceWatch(informers, self._throttle.add)
        self._slices = informers.of(ENDPOINT_SLICE)
        self._slices.add_index(OWN_SLICES, _service_of)
        self._freshness = Freshness()
        self._written: dict[ObjectKey, set[ObjectKey]] = {}
        self._slices.add_handler(self._slice_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._slices.wait_synced()
        await self._watch.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run(), name="endpointslice")

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        slice_ = new or old
        assert slice_ is not None
        if new is None:
            self._freshness.gone(key_of(slice_))
        for owner in _service_of(slice_):
            namespace, _, name = owner.partition("/")
            self._throttle.add((namespace, name))

    async def _reconcile(self, key: ObjectKey) -> None:
        namespace, name = key
        service = self._watch.services.get(name, namespace)
        if service is None or "deletionTimestamp" in service["metadata"]:
            # The garbage collector deletes the slices with the Service.
            self._written.pop(key, None)
            return
        existing = self._slices.by_index(OWN_SLICES, f"{namespace}/{name}")
        if not has_endpoints(service) or self._is_behind(key, existing):
            # Without a selector, or as an alias, its slices are the user's own.
            return
        pods = self._watch.selected(service)
        groups = grouped(service, pods, self._watch.zone)
        await self._apply(key, service, plan(service, groups, existing, _trigger_time(service, pods)))

    def _is_behind(self, key: ObjectKey, existing: list[Object]) -> bool:
        """Whether the cache lacks a slice or a change that was written here; its event will come."""
        by_key = {key_of(slice_): slice_ for slice_ in existing}
        written = self._written.get(key, set()) | by_key.keys()
        return any(self._freshness.is_stale(one, by_key.get(one)) for one in written)

    async def _apply(self, key: ObjectKey, service: Object, changes: Changes) -> None:
        namespace = service["metadata"]["namespace"]
        made = [await self._client.create(ENDPOINT_SLICE, slice_, namespace) for slice_ in changes.create]
        made += [await self._client.update(ENDPOINT_SLICE, slice_) for slice_ in changes.update]
        for slice_ in changes.delete:
            metadata = slice_["metadata"]
            try:
                await self._client.delete(ENDPOINT_SLICE, metadata["name"], namespace, uid=metadata["uid"])
            except NotFound:
                continue
        for slice_ in made:
            self._freshness.wrote(slice_)
        if made:
            self._written[key] = {key_of(slice_) for slice_ in made}


def _service_of(slice_: Object) -> tuple[str, ...]:
    """The Service of a slice that this controller keeps, as "namespace/name"."""
    labels = slice_["metadata"].get("labels") or {}
    if labels.get(MANAGED_BY) != MANAGER or SERVICE_NAME not in labels:
        return ()
    return (f"{slice_['metadata']['namespace']}/{labels[SERVICE_NAME]}",)


def _trigger_time(service: Object, pods: list[Object]) -> str:
    """When the latest of the changes happened that the slices are to show."""
    ready = [condition(pod, "Ready") for pod in pods]
    times: list[str] = [entry["lastTransitionTime"] for entry in ready if entry and entry.get("lastTransitionTime")]
    created: str = service["metadata"]["creationTimestamp"]
    return max([created, *times])
