"""The Service `kube-dns` in `kube-system` and its endpoints, by which pods reach the DNS.

It has no selector: behind it are no pods but one address in the VPC. Whatever is changed or deleted comes back.
"""

from __future__ import annotations

import asyncio
from typing import Any

from controlplane.api.errors import NotFound
from controlplane.api.kinds import ENDPOINT_SLICE, ENDPOINTS, SERVICE
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler

NAME = "kube-dns"
NAMESPACE_NAME = "kube-system"
PORT = 53
PORTS = (("dns", "UDP"), ("dns-tcp", "TCP"))
LABELS = {"k8s-app": NAME, "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}


class DnsService:
    """A component. `cluster_ip` is the tenth address of the Service range, `address` where the DNS answers."""

    def __init__(self, client: Client, informers: Informers, *, cluster_ip: str, address: str) -> None:
        self._client = client
        self._wanted = {
            SERVICE: _service(cluster_ip),
            ENDPOINT_SLICE: _slice(address),
            ENDPOINTS: _endpoints(address),
        }
        self._informers = {kind: informers.of(kind) for kind in self._wanted}
        self._reconciler: Reconciler[Kind] = Reconciler("dns-service", self._reconcile, workers=1)
        for informer in self._informers.values():
            informer.add_handler(lambda old, new: self._changed(new or old))

    async def run(self) -> None:
        """Works until cancelled."""
        for informer in self._informers.values():
            await informer.wait_synced()
        for kind in self._wanted:
            self._reconciler.queue.add(kind)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run(), name=self._reconciler.name)

    def _changed(self, obj: Object | None) -> None:
        if obj is not None and (obj["metadata"]["name"], obj["metadata"].get("namespace")) == (NAME, NAMESPACE_NAME):
            self._reconciler.queue.add(next(kind for kind in self._wanted if kind.name == obj["kind"]))

    async def _reconcile(self, kind: Kind) -> None:
        """Puts what is wanted over what is there; the server writes nothing when that changes nothing."""
        wanted = self._wanted[kind]
        try:
            await self._client.patch(kind, NAME, NAMESPACE_NAME, body=wanted, patch_type="merge")
        except NotFound:
            await self._client.create(kind, wanted, NAMESPACE_NAME)


def _service(cluster_ip: str) -> Object:
    return {
        **_head(SERVICE, LABELS),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": cluster_ip,
            "clusterIPs": [cluster_ip],
            "ports": [
                {"name": name, "protocol": protocol, "port": PORT, "targetPort": PORT} for name, protocol in PORTS
            ],
        },
    }


def _slice(address: str) -> Object:
    return {
        **_head(ENDPOINT_SLICE, {"kubernetes.io/service-name": NAME}),
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": _ports(),
    }


def _endpoints(address: str) -> Object:
    return {
        **_head(ENDPOINTS, {"endpointslice.kubernetes.io/skip-mirror": "true"}),
        "subsets": [{"addresses": [{"ip": address}], "ports": _ports()}],
    }


def _ports() -> list[dict[str, Any]]:
    return [{"name": name, "protocol": protocol, "port": PORT} for name, protocol in PORTS]


def _head(kind: Kind, labels: dict[str, str]) -> Object:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.name,
        "metadata": {"name": NAME, "namespace": NAMESPACE_NAME, "labels": labels},
    }
