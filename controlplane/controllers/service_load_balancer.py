"""What a cloud does for Services of type LoadBalancer: an address at once, and routes to the nodes.

    Services, nodes (caches) → address in status.loadBalancer → one route set for all addresses

The addresses in use are those in the Services' statuses and nothing else, so none is given twice
over a restart. The routes are set as a whole: what is not in them is gone.
"""

from __future__ import annotations

import asyncio
import ipaddress
from typing import Any

from controlplane.api.kinds import NODE, SERVICE
from controlplane.api.types import Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.recorder import EventRecorder
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.address_pool import NoAddress, allocate
from controlplane.controllers.config import LoadBalancerRoutes
from controlplane.controllers.meta import annotation, is_deleting, with_metadata, with_status
from controlplane.controllers.pacing import Freshness, Throttle
from controlplane.controllers.pods import condition

FINALIZER = "service.kubernetes.io/load-balancer-cleanup"
ADDRESS_ANNOTATION = "netsim.io/load-balancer-ip"
EXCLUDED_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
ROUTES = "routes"
ROUTES_INTERVAL_SECONDS = 0.02
RESYNC_SECONDS = 30.0
"""How often the routes are compared with the kernel's, should somebody have taken one away."""
RETRY_SECONDS = 5.0
"""How soon a Service without an address is tried again (upstream's minimum retry delay)."""


class ServiceLoadBalancer:
    """`addresses` is the range to give addresses from, e.g. "203.0.113.0/24"."""

    def __init__(self, client: Client, informers: Informers, addresses: str, routes: LoadBalancerRoutes) -> None:
        self._client = client
        self._pool = ipaddress.IPv4Network(addresses)
        self._routes = routes
        self._services = informers.of(SERVICE)
        self._nodes = informers.of(NODE)
        self._recorder = EventRecorder(client, "service-controller")
        # One worker: two Services must not be given the address that both find free.
        self._reconciler: Reconciler[ObjectKey] = Reconciler("service-lb", self._reconcile, workers=1)
        self._router: Reconciler[str] = Reconciler("service-lb-routes", self._set_routes, workers=1)
        self._throttle = Throttle(self._router.queue, ROUTES_INTERVAL_SECONDS)
        self._freshness = Freshness()
        self._given: dict[ObjectKey, str] = {}
        self._services.add_handler(self._service_changed)
        self._nodes.add_handler(self._node_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._services.wait_synced()
        await self._nodes.wait_synced()
        self._throttle.add(ROUTES)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._recorder.run(), name="service-lb-events")
            group.create_task(self._reconciler.run(), name="service-lb")
            group.create_task(self._router.run(), name="service-lb-routes")

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        service = new or old
        assert service is not None
        key = key_of(service)
        if new is None:
            self._given.pop(key, None)
            self._freshness.gone(key)
        if new is None or address_of(service) or FINALIZER in service["metadata"].get("finalizers", ()):
            self._throttle.add(ROUTES)
        self._reconciler.queue.add(key)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or _route_target(old) != _route_target(new):
            self._throttle.add(ROUTES)

    async def _reconcile(self, key: ObjectKey) -> float | None:
        namespace, name = key
        service = self._services.get(name, namespace)
        if service is None or self._freshness.is_stale(key, service):
            return None
        if wants_load_balancer(service):
            return await self._ensure(key, service)
        await self._release(key, service)
        return None

    async def _ensure(self, key: ObjectKey, service: Object) -> float | None:
        wanted = wanted_address(service)
        current = address_of(service)
        if current and wanted in ("", current) and current not in self._used(key):
            return None
        self._recorder.event(service, "Normal", "EnsuringLoadBalancer", "Ensuring load balancer")
        finalizers = service["metadata"].get("finalizers", [])
        if FINALIZER not in finalizers:
            service = await self._write(with_metadata(service, finalizers=[*finalizers, FINALIZER]))
        try:
            address = allocate(self._pool, self._used(key), wanted)
        except NoAddress as error:
            message = f"Error syncing load balancer: failed to ensure load balancer: {error.message}"
            self._recorder.event(service, "Warning", "SyncLoadBalancerFailed", message)
            return RETRY_SECONDS
        self._given[key] = address
        status = {**(service.get("status") or {}), "loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"}]}}
        await self._write(with_status(service, status), subresource="status")
        self._recorder.event(service, "Normal", "EnsuredLoadBalancer", "Ensured load balancer")
        return None

    async def _release(self, key: ObjectKey, service: Object) -> None:
        """Takes the address off the routes first, then off the Service, then lets the Service go."""
        finalizers = service["metadata"].get("finalizers", [])
        if FINALIZER not in finalizers:
            return
        self._recorder.event(service, "Normal", "DeletingLoadBalancer", "Deleting load balancer")
        await self._set_routes(ROUTES)
        if (service.get("status") or {}).get("loadBalancer") and not is_deleting(service):
            status = {**service["status"], "loadBalancer": {}}
            service = await self._write(with_status(service, status), subresource="status")
        kept = [finalizer for finalizer in finalizers if finalizer != FINALIZER]
        await self._write(with_metadata(service, finalizers=kept or None))
        self._given.pop(key, None)
        self._recorder.event(service, "Normal", "DeletedLoadBalancer", "Deleted load balancer")

    async def _write(self, service: Object, *, subresource: str = "") -> Object:
        written = await self._client.update(SERVICE, service, subresource=subresource)
        self._freshness.wrote(written)
        return written

    def _used(self, but: ObjectKey) -> set[str]:
        """The addresses that other Services hold, be it only since a moment ago."""
        shown = {key_of(one): address_of(one) for one in self._services.list()}
        return {address for key, address in {**shown, **self._given}.items() if address and key != but}

    async def _set_routes(self, _: str) -> float:
        nodes = tuple(sorted(target for node in self._nodes.list() if (target := _route_target(node)) is not None))
        routed = {
            address: nodes
            for service in self._services.list()
            if wants_load_balancer(service) and (address := address_of(service))
        }
        await self._routes.set_load_balancers(routed)
        return RESYNC_SECONDS


def wants_load_balancer(service: Object) -> bool:
    """Whether this controller is to serve the Service; one with a loadBalancerClass is another's."""
    spec = service["spec"]
    return spec.get("type") == "LoadBalancer" and not spec.get("loadBalancerClass") and not is_deleting(service)


def address_of(service: Object) -> str:
    """The external address in the Service's status, "" where there is none."""
    ingress: list[dict[str, Any]] = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
    return ingress[0].get("ip", "") if ingress else ""


def wanted_address(service: Object) -> str:
    """The address that the Service asks for by annotation or by spec.loadBalancerIP, "" for any."""
    return annotation(service, ADDRESS_ANNOTATION) or service["spec"].get("loadBalancerIP") or ""


def _route_target(node: Object) -> str | None:
    """The address by which a node takes part in load balancing; None while it does not."""
    ready = condition(node, "Ready")
    labels = node["metadata"].get("labels") or {}
    if ready is None or ready["status"] != "True" or is_deleting(node) or EXCLUDED_LABEL in labels:
        return None
    addresses = (node.get("status") or {}).get("addresses") or ()
    return next((entry["address"] for entry in addresses if entry["type"] == "InternalIP"), None)
