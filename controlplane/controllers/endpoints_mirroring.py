"""Mirrors Endpoints that somebody made by hand into EndpointSlices, which are what proxies and DNS read.

Of a Service without a selector nobody else knows where it leads. Upstream's rules: leader-election records and those
that ask not to be are left out, and so are those of Services with a selector, which have slices of their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from typing import Any

from controlplane.api.errors import NotFound
from controlplane.api.kinds import ENDPOINT_SLICE, ENDPOINTS, SERVICE
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.endpoints_of import PortSet, read_ports, wire_ports
from controlplane.controllers.indexes import CONTROLLER, index_owned
from controlplane.controllers.meta import controller_of, controller_reference, is_deleting
from controlplane.controllers.pacing import Freshness
from controlplane.controllers.slices import MANAGED_BY, SERVICE_NAME

MANAGER = "endpointslicemirroring-controller.k8s.io"
SKIP = "endpointslice.kubernetes.io/skip-mirror"
LEADER = "control-plane.alpha.kubernetes.io/leader"
NOT_COPIED = ("endpoints.kubernetes.io/last-change-trigger-time", "kubectl.kubernetes.io/last-applied-configuration")
MOST_ADDRESSES = 1000
"""Of each subset."""

Group = tuple[str, PortSet]
"""Address family and ports: what the endpoints of one slice have in common."""


class EndpointsMirroring:
    """Reconciles Endpoints, by their key."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._endpoints = informers.of(ENDPOINTS)
        self._services = informers.of(SERVICE)
        self._slices = informers.of(ENDPOINT_SLICE)
        index_owned(self._slices)
        self._recorder = EventRecorder(client, "endpoint-slice-mirroring-controller")
        self._reconciler: Reconciler[ObjectKey] = Reconciler("endpoints-mirroring", self._reconcile, workers=1)
        self._freshness = Freshness()
        for informer in (self._endpoints, self._services):
            informer.add_handler(self._changed)
        self._slices.add_handler(self._slice_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in (self._endpoints, self._services, self._slices):
            await informer.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="endpoints-mirroring-events")
            group.create_task(self._reconciler.run(), name="endpoints-mirroring")

    def _changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        key = key_of(obj)
        endpoints = self._endpoints.get(key[1], key[0])
        if endpoints is not None and not _has_manager(endpoints):
            self._reconciler.queue.add(key)

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        owner = controller_of(obj)
        if new is None:
            self._freshness.gone(key_of(obj))
        if owner is not None and owner["kind"] == ENDPOINTS.name:
            self._reconciler.queue.add((obj["metadata"]["namespace"], owner["name"]))

    async def _reconcile(self, key: ObjectKey) -> float | None:
        namespace, name = key
        endpoints = self._endpoints.get(name, namespace)
        if endpoints is None or is_deleting(endpoints):
            # Its slices go with it: they are its own.
            return None
        present = self._slices.by_index(CONTROLLER, endpoints["metadata"]["uid"])
        if any(self._freshness.is_stale(key_of(one), one) for one in present):
            return 0.05
        wanted = self._wanted(endpoints) if is_mirrored(endpoints, self._services.get(name, namespace)) else {}
        for slice_ in present:
            await self._settle(slice_, endpoints, wanted)
        for (family, _), one in wanted.items():
            body = _slice(endpoints, family, one)
            body["metadata"] |= {"generateName": f"{name}-", "namespace": namespace}
            self._freshness.wrote(await self._client.create(ENDPOINT_SLICE, body, namespace))
        return None

    async def _settle(self, present: Object, endpoints: Object, wanted: dict[Group, dict[str, Any]]) -> None:
        """Brings one slice up to date, or deletes it; takes what it holds off `wanted`."""
        metadata = present["metadata"]
        family = present["addressType"]
        one = wanted.pop((family, _ports(present)), None)
        if one is None:
            try:
                await self._client.delete(ENDPOINT_SLICE, metadata["name"], metadata["namespace"], uid=metadata["uid"])
            except NotFound:
                return
            return
        body = _slice(endpoints, family, one)
        fields = {name: body["metadata"].get(name) for name in ("labels", "annotations", "ownerReferences")}
        merged = {**present, **body, "metadata": {**metadata, **{k: v for k, v in fields.items() if v is not None}}}
        if merged != present:
            self._freshness.wrote(await self._client.update(ENDPOINT_SLICE, merged))

    def _wanted(self, endpoints: Object) -> dict[Group, dict[str, Any]]:
        """Ports and endpoints of each slice that there should be."""
        found: dict[Group, dict[str, Any]] = {}
        for subset in endpoints.get("subsets") or ():
            ports = _ports(subset)
            addresses = list(_addresses(subset))
            if len(addresses) > MOST_ADDRESSES:
                message = (
                    f"A max of {MOST_ADDRESSES} addresses can be mirrored to EndpointSlices per Endpoints subset. "
                )
                message += f"{len(addresses) - MOST_ADDRESSES} addresses were skipped"
                self._recorder.event(endpoints, "Warning", "TooManyAddressesToMirror", message)
            for family, endpoint in addresses[:MOST_ADDRESSES]:
                one = found.setdefault((family, ports), {"ports": wire_ports(ports), "endpoints": []})
                one["endpoints"].append(endpoint)
        return found


def is_mirrored(endpoints: Object, service: Object | None) -> bool:
    """Whether the Endpoints are to be mirrored; `service` is the one of their name."""
    metadata = endpoints["metadata"]
    if (metadata.get("labels") or {}).get(SKIP) == "true" or LEADER in (metadata.get("annotations") or {}):
        return False
    return service is not None and not service["spec"].get("selector")


def _has_manager(endpoints: Object) -> bool:
    """Whether they are another controller's writing, which is never mirrored; saves a look at each change."""
    return "endpoints.kubernetes.io/managed-by" in (endpoints["metadata"].get("labels") or {})


def _addresses(subset: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for field, ready in (("addresses", True), ("notReadyAddresses", False)):
        for address in subset.get(field) or ():
            endpoint: dict[str, Any] = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
            for name in ("hostname", "nodeName", "targetRef"):
                if address.get(name):
                    endpoint[name] = address[name]
            yield f"IPv{ip_address(address['ip']).version}", endpoint


def _ports(holder: Mapping[str, Any]) -> PortSet:
    """The ports of a subset or of a slice, in one order."""
    return tuple(sorted(read_ports(dict(holder)), key=str))


def _slice(endpoints: Object, family: str, one: Mapping[str, Any]) -> dict[str, Any]:
    metadata = endpoints["metadata"]
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in NOT_COPIED}
    owned: dict[str, Any] = {
        "labels": {**(metadata.get("labels") or {}), SERVICE_NAME: metadata["name"], MANAGED_BY: MANAGER},
        "ownerReferences": [controller_reference(endpoints)],
    }
    if annotations:
        owned["annotations"] = annotations
    return {
        "apiVersion": ENDPOINT_SLICE.api_version,
        "kind": ENDPOINT_SLICE.name,
        "metadata": owned,
        "addressType": family,
        "endpoints": one["endpoints"],
        "ports": one["ports"],
    }
