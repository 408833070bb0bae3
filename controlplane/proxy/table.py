"""The Services and endpoints of the cluster as the proxies of one process share them.

Two informers feed it. Objects are read when somebody asks, once for all nodes, and forgotten when they change; rules
that come out the same on every node are kept here too. Each proxy listens for the keys that changed.
"""

from __future__ import annotations

from collections.abc import Callable

from controlplane.api.kinds import ENDPOINT_SLICE, SERVICE
from controlplane.api.types import Object
from controlplane.client.informer import Informers
from controlplane.proxy.endpoints import choose, depends_on_node
from controlplane.proxy.model import (
    EndpointMap,
    ServiceKey,
    ServicePort,
    read_endpoints,
    read_service,
    service_of,
)
from controlplane.proxy.rules import PortRules, Style, port_rules

_BY_SERVICE = "proxy-service"

Listener = Callable[[ServiceKey], None]


class ServiceTable:
    """What the proxies know of the cluster; one for all that share `informers`."""

    def __init__(self, informers: Informers) -> None:
        self._services = informers.of(SERVICE)
        self._slices = informers.of(ENDPOINT_SLICE)
        self._ports: dict[ServiceKey, tuple[ServicePort, ...]] = {}
        self._endpoints: dict[ServiceKey, EndpointMap] = {}
        self._rules: dict[ServiceKey, tuple[Style, list[PortRules]]] = {}
        self._listeners: list[Listener] = []
        self._slices.add_index(_BY_SERVICE, _index_slice)
        self._services.add_handler(self._service_changed)
        self._slices.add_handler(self._slice_changed)

    def listen(self, listener: Listener) -> None:
        """`listener` is called with the key of each Service whose ports or endpoints change from now on."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        self._listeners.remove(listener)

    async def wait_synced(self) -> None:
        """Returns when Services and EndpointSlices have been listed."""
        await self._services.wait_synced()
        await self._slices.wait_synced()

    def keys(self) -> list[ServiceKey]:
        """Every Service, sorted: the order of rules."""
        return sorted((obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in self._services.list())

    def ports(self, key: ServiceKey) -> tuple[ServicePort, ...]:
        """The ports of a Service that a proxy serves; none when there is no such Service."""
        found = self._ports.get(key)
        if found is None:
            service = self._services.get(key[1], key[0])
            if service is None:
                return ()
            found = self._ports[key] = read_service(service)
        return found

    def endpoints(self, key: ServiceKey) -> EndpointMap:
        """The endpoints of a Service by port."""
        found = self._endpoints.get(key)
        if found is None:
            slices = self._slices.by_index(_BY_SERVICE, "/".join(key))
            if not slices:
                return {}
            found = self._endpoints[key] = read_endpoints(slices)
        return found

    def rules(self, key: ServiceKey, style: Style, node_name: str, zone: str, node_ip: str) -> list[PortRules]:
        """The rules of a Service's ports on one node, written once for all nodes where they do not differ."""
        known = self._rules.get(key)
        if known is not None and known[0] == style:
            return known[1]
        endpoints = self.endpoints(key)
        written = []
        shared = True
        for port in self.ports(key):
            of_port = endpoints.get(port.key, ())
            shared = shared and not port.source_ranges and not depends_on_node(port, of_port)
            written.append(port_rules(port, choose(port, of_port, node_name, zone), style, node_ip))
        if shared and written:
            self._rules[key] = (style, written)
        return written

    def _service_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        key = (obj["metadata"]["namespace"], obj["metadata"]["name"])
        self._ports.pop(key, None)
        self._changed(key)

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        for key in {service_of(obj) for obj in (old, new) if obj is not None}:
            if key is not None:
                self._endpoints.pop(key, None)
                self._changed(key)

    def _changed(self, key: ServiceKey) -> None:
        self._rules.pop(key, None)
        for listener in self._listeners:
            listener(key)


def _index_slice(endpoint_slice: Object) -> list[str]:
    key = service_of(endpoint_slice)
    return ["/".join(key)] if key is not None else []
