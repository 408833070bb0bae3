"""The DNS on informers that a test feeds, and on sockets of the loopback."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import dns.asyncquery
import dns.message
import pytest

from controlplane.api.kinds import ENDPOINT_SLICE, NAMESPACE, NODE, SERVICE
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers
from controlplane.client.interface import ObjectList, WatchEvent
from controlplane.dns import DnsConfig, DnsServer
from controlplane.dns.catalogue import Catalogue
from controlplane.dns.zone import Zone

KINDS = {kind.name: kind for kind in (SERVICE, ENDPOINT_SLICE, NODE, NAMESPACE)}
RANGES = (IPv4Network("10.44.0.0/14"), IPv4Network("10.48.0.0/20"), IPv4Network("10.128.0.0/20"))
ADDRESS = "10.48.0.10"


class World:
    """As much of a Client as informers need, and the informers on it."""

    def __init__(self) -> None:
        self._version = 0
        self._objects: dict[tuple[str, str, str], Object] = {}
        self._watchers: list[tuple[Kind, asyncio.Queue[WatchEvent]]] = []
        self.informers = Informers(self)  # type: ignore[arg-type]  # only list and watch are used

    async def list(self, kind: Kind, namespace: str = "", **_: str) -> ObjectList:
        return ObjectList([obj for key, obj in self._objects.items() if key[0] == kind.name], str(self._version))

    async def watch(self, kind: Kind, namespace: str = "", **_: str) -> AsyncIterator[WatchEvent]:
        queue: asyncio.Queue[WatchEvent] = asyncio.Queue(100)
        self._watchers.append((kind, queue))
        while True:
            yield await queue.get()

    def put(self, *objects: Object) -> None:
        for obj in objects:
            self._change("MODIFIED" if _key(obj) in self._objects else "ADDED", obj)

    def delete(self, obj: Object) -> None:
        self._change("DELETED", obj)
        del self._objects[_key(obj)]

    def _change(self, kind: Any, obj: Object) -> None:
        self._version += 1
        metadata = {"uid": "-".join(_key(obj)), **obj["metadata"], "resourceVersion": str(self._version)}
        obj = self._objects[_key(obj)] = {**obj, "metadata": metadata}
        for watched, queue in self._watchers:
            if watched.name == obj["kind"]:
                queue.put_nowait(WatchEvent(kind, obj))


def _key(obj: Object) -> tuple[str, str, str]:
    return obj["kind"], obj["metadata"].get("namespace", ""), obj["metadata"]["name"]


def service(name: str, cluster_ip: str = "", *, namespace: str = "default", **spec: Any) -> Object:
    ports = spec.pop("ports", [{"name": "http", "port": 80, "protocol": "TCP"}])
    addresses = {"clusterIP": cluster_ip, "clusterIPs": [cluster_ip]} if cluster_ip else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"type": "ClusterIP", **addresses, "ports": ports, **spec},
    }


def alias(name: str, target: str) -> Object:
    return service(name, type="ExternalName", externalName=target, ports=[])


def endpoints(name: str, *items: Any, namespace: str = "default", **fields: Any) -> Object:
    """An item is an address, or (address, further fields of the endpoint)."""
    wire = [{"addresses": [e]} if isinstance(e, str) else {"addresses": [e[0]], **e[1]} for e in items]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "namespace": namespace,
            "name": f"{name}-1",
            "labels": {"kubernetes.io/service-name": name},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": wire,
        **fields,
    }


def node(name: str, address: str) -> Object:
    addresses = [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}]
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": addresses}}


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


@pytest.fixture
def world() -> World:
    """Holds the namespace `default`; what is put into it before the first wait is in the first list."""
    made = World()
    made.put(namespace("default"))
    return made


@pytest.fixture
async def zone(world: World) -> AsyncIterator[Callable[[], Any]]:
    """Makes the zone from what the world holds by then."""
    tasks = []

    async def make() -> Zone:
        catalogue = Catalogue(world.informers)
        tasks.append(asyncio.create_task(world.informers.run()))
        await catalogue.wait_synced()
        return Zone(catalogue, "cluster.local", ADDRESS, RANGES)

    yield make
    await _cancel(*tasks)


class Asker:
    """Asks one server."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def udp(self, name: str, qtype: str = "A", **options: Any) -> dns.message.Message:
        query = dns.message.make_query(name, qtype, **options)
        return await dns.asyncquery.udp(query, "127.0.0.1", port=self.port, timeout=30)

    async def tcp(self, name: str, qtype: str = "A", **options: Any) -> dns.message.Message:
        query = dns.message.make_query(name, qtype, **options)
        return await dns.asyncquery.tcp(query, "127.0.0.1", port=self.port, timeout=30)


@asynccontextmanager
async def serving(world: World, resolv_conf: Path, *, upstream_port: int = 53) -> AsyncIterator[Asker]:
    """The whole DNS on a port of the loopback address."""
    tcp = socket.create_server(("127.0.0.1", 0))
    port = tcp.getsockname()[1]
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("127.0.0.1", port))

    async def listen() -> tuple[socket.socket, socket.socket]:
        return udp, tcp

    config = DnsConfig(ADDRESS, ranges=RANGES, resolv_conf=resolv_conf, upstream_port=upstream_port)
    server = DnsServer(world.informers, config, listen)
    tasks = [asyncio.create_task(world.informers.run()), asyncio.create_task(server.run())]
    try:
        yield Asker(port)
    finally:
        await _cancel(*tasks)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
