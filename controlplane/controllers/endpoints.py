"""Keeps the old Endpoints object of every Service with a selector, for `kubectl get endpoints`.

Nothing in netsim reads it: proxies and DNS read EndpointSlices. So it is written with less hurry.
Upstream deprecates the kind and still writes it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from controlplane.api.errors import NotFound
from controlplane.api.kinds import ENDPOINTS
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.endpoints_of import PortSet, grouped, has_endpoints, wire_ports
from controlplane.controllers.meta import is_deleting
from controlplane.controllers.pacing import Throttle
from controlplane.controllers.service_watch import ServiceWatch
from controlplane.controllers.slices import HEADLESS

BATCH_SECONDS = 0.25
LONGEST_ENDPOINTS = 1000
MANAGED_BY = "endpoints.kubernetes.io/managed-by"
MANAGER = "endpoint-controller"


class EndpointsController:
    """Reconciles Services, by their key."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._reconciler: Reconciler[ObjectKey] = Reconciler("endpoints", self._reconcile)
        self._throttle = Throttle(self._reconciler.queue, BATCH_SECONDS)
        self._watch = ServiceWatch(informers, self._throttle.add)
        self._endpoints = informers.of(ENDPOINTS)
        self._endpoints.add_handler(self._endpoints_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._endpoints.wait_synced()
        await self._watch.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run(), name="endpoints")

    def _endpoints_changed(self, old: Object | None, new: Object | None) -> None:
        endpoints = new or old
        assert endpoints is not None
        # Those of a Service that is gone go too, also when it went while nobody looked.
        if (endpoints["metadata"].get("labels") or {}).get(MANAGED_BY) == MANAGER:
            self._throttle.add(key_of(endpoints))

    async def _reconcile(self, key: ObjectKey) -> None:
        namespace, name = key
        service = self._watch.services.get(name, namespace)
        present = self._endpoints.get(name, namespace)
        if service is None:
            await self._delete(present)
            return
        if not has_endpoints(service) or is_deleting(service):
            return
        wanted = endpoints_of_service(service, self._watch)
        if present is None:
            await self._client.create(ENDPOINTS, wanted, namespace)
        elif wanted["subsets"] != (present.get("subsets") or []) or _own_labels(present) != _own_labels(wanted):
            metadata = {**present["metadata"], "labels": wanted["metadata"]["labels"]}
            await self._client.update(ENDPOINTS, {**wanted, "metadata": metadata})

    async def _delete(self, present: Object | None) -> None:
        if present is None or _own_labels(present).get(MANAGED_BY) != MANAGER:
            return
        metadata = present["metadata"]
        try:
            await self._client.delete(ENDPOINTS, metadata["name"], metadata["namespace"], uid=metadata["uid"])
        except NotFound:
            return


def endpoints_of_service(service: Object, watch: ServiceWatch) -> Object:
    """The Endpoints object that the Service should have."""
    groups = grouped(service, watch.selected(service), watch.zone)
    labels = {**(service["metadata"].get("labels") or {}), MANAGED_BY: MANAGER}
    if service["spec"].get("clusterIP") == "None":
        labels[HEADLESS] = ""
    subsets = [_subset(ports, [one.wire for one in endpoints.values()]) for ports, endpoints in sorted(groups.items())]
    return {
        "apiVersion": ENDPOINTS.api_version,
        "kind": ENDPOINTS.name,
        "metadata": {
            "name": service["metadata"]["name"],
            "namespace": service["metadata"]["namespace"],
            "labels": labels,
        },
        "subsets": [subset for subset in subsets if len(subset) > 1],
    }


def _subset(ports: PortSet, endpoints: list[dict[str, Any]]) -> dict[str, Any]:
    ready, not_ready = [], []
    for endpoint in sorted(endpoints, key=lambda one: tuple(int(part) for part in one["addresses"][0].split(".")))[
        :LONGEST_ENDPOINTS
    ]:
        if endpoint["conditions"]["ready"]:
            ready.append(_address(endpoint))
        elif not endpoint["conditions"]["terminating"]:
            not_ready.append(_address(endpoint))
    subset: dict[str, Any] = {}
    if ready:
        subset["addresses"] = ready
    if not_ready:
        subset["notReadyAddresses"] = not_ready
    subset["ports"] = wire_ports(ports)
    return subset


def _address(endpoint: dict[str, Any]) -> dict[str, Any]:
    address = {"ip": endpoint["addresses"][0], "targetRef": endpoint["targetRef"]}
    for field in ("nodeName", "hostname"):
        if field in endpoint:
            address[field] = endpoint[field]
    return address


def _own_labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}
