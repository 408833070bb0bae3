"""The `kubernetes` Service in `default`, by which pods reach the API server, and its endpoints.

Upstream's API server keeps these itself; here it is one more reconciler, because the server does
not know at which address the nodes see it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from controlplane.api.errors import AlreadyExists
from controlplane.api.kinds import ENDPOINT_SLICE, ENDPOINTS, SERVICE
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.slices import SERVICE_NAME

NAME = "kubernetes"
NAMESPACE_NAME = "default"
PORT_NAME = "https"


class KubernetesServiceController:
    """`cluster_ip` is the first address of the Service range; address and port are the API server's in the VPC."""

    def __init__(self, client: Client, informers: Informers, *, cluster_ip: str, address: str, port: int) -> None:
        self._client = client
        self._informers = [informers.of(kind) for kind in (SERVICE, ENDPOINT_SLICE, ENDPOINTS)]
        self._wanted = {
            SERVICE: kubernetes_service(cluster_ip, port),
            ENDPOINT_SLICE: kubernetes_slice(address, port),
            ENDPOINTS: kubernetes_endpoints(address, port),
        }
        self._reconciler: Reconciler[Kind] = Reconciler("kubernetes-service", self._reconcile, workers=1)
        for informer in self._informers:
            informer.add_handler(lambda old, new: self._changed(new or old))

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in self._informers:
            await informer.wait_synced()
        for kind in self._wanted:
            self._reconciler.queue.add(kind)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run(), name="kubernetes-service")

    def _changed(self, obj: Object | None) -> None:
        if obj is None:
            return
        metadata = obj["metadata"]
        if metadata["name"] == NAME and metadata["namespace"] == NAMESPACE_NAME:
            self._reconciler.queue.add(next(kind for kind in self._wanted if kind.name == obj["kind"]))

    async def _reconcile(self, kind: Kind) -> None:
        wanted = self._wanted[kind]
        informer = next(informer for informer in self._informers if informer.kind is kind)
        present = informer.get(NAME, NAMESPACE_NAME)
        if present is None:
            try:
                await self._client.create(kind, wanted, NAMESPACE_NAME)
            except AlreadyExists:
                # Written just now and not in the cache yet: its event brings us back.
                return
        elif not includes(present, wanted):
            await self._client.patch(kind, NAME, NAMESPACE_NAME, body=wanted, patch_type="merge")


def kubernetes_service(cluster_ip: str, port: int) -> Object:
    return {
        **_head(SERVICE, {"component": "apiserver", "provider": "kubernetes"}),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "sessionAffinity": "None",
            "ports": [{"name": PORT_NAME, "protocol": "TCP", "port": 443, "targetPort": port}],
        },
    }


def kubernetes_slice(address: str, port: int) -> Object:
    return {
        **_head(ENDPOINT_SLICE, {SERVICE_NAME: NAME}),
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": PORT_NAME, "protocol": "TCP", "port": port}],
    }


def kubernetes_endpoints(address: str, port: int) -> Object:
    ports = [{"name": PORT_NAME, "protocol": "TCP", "port": port}]
    return {
        **_head(ENDPOINTS, {"endpointslice.kubernetes.io/skip-mirror": "true"}),
        "subsets": [{"addresses": [{"ip": address}], "ports": ports}],
    }


def includes(present: Any, wanted: Any) -> bool:
    """Whether everything in `wanted` is in `present`; what is there besides, such as defaults, is no difference."""
    if isinstance(wanted, dict):
        return isinstance(present, dict) and all(
            name in present and includes(present[name], value) for name, value in wanted.items()
        )
    if isinstance(wanted, list):
        return (
            isinstance(present, list)
            and len(present) == len(wanted)
            and all(includes(one, other) for one, other in zip(present, wanted, strict=True))
        )
    return bool(present == wanted)


def _head(kind: Kind, labels: dict[str, str]) -> Object:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": NAME, "namespace": NAMESPACE_NAME, "labels": labels},
    }
