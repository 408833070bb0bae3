"""The objects of the cluster as DNS looks them up, by name and by address.

Informers of Services, EndpointSlices, nodes and namespaces feed it; nothing is kept but their indexes. Whoever keeps
answers listens for the keys that changed: a Service is "namespace/name", a namespace itself "namespace/", the nodes
are `NODES`, and what has which address is `ADDRESSES`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from controlplane.api.kinds import ENDPOINT_SLICE, NAMESPACE, NODE, SERVICE
from controlplane.api.types import Object
from controlplane.client.informer import Informers

NODES = "nodes"
ADDRESSES = "addresses"

SERVICE_NAME = "kubernetes.io/service-name"
_BY_SERVICE = "dns-service"
_BY_ADDRESS = "dns-address"

Listener = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Target:
    """A port at an address. `hostname` is "" for a cluster IP; `port` is None for an endpoint without ports."""

    address: str
    port: int | None
    port_name: str
    protocol: str
    hostname: str = ""


class Catalogue:
    """Look-ups by what a DNS name or an address says; all in lower case."""

    def __init__(self, informers: Informers) -> None:
        self.serial = int(time.time())
        """When anything last changed: the serial of SOA records."""
        self._listeners: list[Listener] = []
        self._services = informers.of(SERVICE)
        self._slices = informers.of(ENDPOINT_SLICE)
        self._nodes = informers.of(NODE)
        self._namespaces = informers.of(NAMESPACE)
        self._services.add_index(_BY_ADDRESS, _cluster_ips)
        self._slices.add_index(_BY_SERVICE, lambda slice_: filter(None, [_service_of(slice_)]))
        self._slices.add_index(_BY_ADDRESS, _ready_addresses)
        self._nodes.add_index(_BY_ADDRESS, node_addresses)
        self._services.add_handler(self._service_changed)
        self._slices.add_handler(self._slice_changed)
        self._nodes.add_handler(self._node_changed)
        self._namespaces.add_handler(self._namespace_changed)

    def listen(self, listener: Listener) -> None:
        """`listener` is called with each key that changes from now on."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    async def wait_synced(self) -> None:
        """Returns when everything has been listed."""
        for informer in (self._services, self._slices, self._nodes, self._namespaces):
            await informer.wait_synced()

    def has_namespace(self, name: str) -> bool:
        return self._namespaces.get(name) is not None

    def service(self, namespace: str, name: str) -> Object | None:
        return self._services.get(name, namespace)

    def node(self, name: str) -> list[str] | None:
        """The node's addresses; None if there is no such node."""
        node = self._nodes.get(name)
        return node_addresses(node) if node is not None else None

    def endpoints(self, namespace: str, name: str) -> Iterator[Target]:
        """The ready endpoints of a Service, once for each port."""
        for slice_ in self._slices.by_index(_BY_SERVICE, f"{namespace}/{name}"):
            yield from _targets(slice_)

    def names_of(self, address: str) -> list[str]:
        """The names of an address below the zone's name: its Service's; else its node's and those of its endpoints."""
        for service in self._services.by_index(_BY_ADDRESS, address):
            metadata = service["metadata"]
            return [f"{metadata['name']}.{metadata['namespace']}.svc"]
        names = [node["metadata"]["name"] for node in self._nodes.by_index(_BY_ADDRESS, address)]
        for slice_ in self._slices.by_index(_BY_ADDRESS, address):
            namespace, _, service_name = _service_of(slice_).partition("/")
            names += [
                f"{target.hostname}.{service_name}.{namespace}.svc"
                for target in _targets(slice_)
                if target.address == address
            ]
        return list(dict.fromkeys(names))

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        service = new or old
        assert service is not None
        if old is None or new is None or old["spec"] != new["spec"]:
            self._changed(f"{service['metadata']['namespace']}/{service['metadata']['name']}", ADDRESSES)

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        keys = {_service_of(slice_) for slice_ in (old, new) if slice_ is not None} - {""}
        if keys:
            self._changed(*keys, ADDRESSES)

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or node_addresses(old) != node_addresses(new):
            self._changed(NODES, ADDRESSES)

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None:
            namespace = new or old
            assert namespace is not None
            self._changed(f"{namespace['metadata']['name']}/")

    def _changed(self, *keys: str) -> None:
        self.serial = int(time.time())
        for key in keys:
            for listener in self._listeners:
                listener(key)


def node_addresses(node: Object) -> list[str]:
    """The addresses of a node that are addresses, not names."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    return [one["address"] for one in addresses if one["type"].endswith("IP") and one["address"]]


def cluster_ips(service: Object) -> list[str]:
    """A Service's own addresses; none for a headless one and for an alias."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName":
        return []
    found = spec.get("clusterIPs") or [spec.get("clusterIP")]
    return [address for address in found if address and address != "None"]


def _cluster_ips(service: Object) -> Iterable[str]:
    return cluster_ips(service)


def _service_of(slice_: Object) -> str:
    """The key of the Service that a slice belongs to, "" if none."""
    metadata = slice_["metadata"]
    name = (metadata.get("labels") or {}).get(SERVICE_NAME)
    return f"{metadata['namespace']}/{name}" if name else ""


def _ready_endpoints(slice_: Object) -> Iterator[Object]:
    if slice_.get("addressType") == "FQDN":
        return
    for endpoint in slice_.get("endpoints") or ():
        # Absent means unknown, which counts as ready.
        if (endpoint.get("conditions") or {}).get("ready") is not False:
            yield endpoint


def _ready_addresses(slice_: Object) -> list[str]:
    return [address for endpoint in _ready_endpoints(slice_) for address in endpoint["addresses"]]


def _targets(slice_: Object) -> Iterator[Target]:
    ports = slice_.get("ports") or [{}]
    for endpoint in _ready_endpoints(slice_):
        for address in endpoint["addresses"]:
            hostname = endpoint.get("hostname") or address.replace(".", "-").replace(":", "-")
            for port in ports:
                protocol = port.get("protocol", "TCP").lower()
                yield Target(address, port.get("port"), port.get("name") or "", protocol, hostname)
