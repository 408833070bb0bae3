"""One node with three pods and a client outside, a real API in process, and the node's proxy between them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.kinds import ENDPOINT_SLICE, SERVICE
from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.proxy.applier import ProxyConfig, ServiceProxy
from controlplane.proxy.rules import LocalTraffic
from controlplane.server.assembly import open_registry
from netsim import namespace
from netsim.mark import Mark
from netsim.namespace import namespace_path
from tests.kernel.world import answering, run

NODE_IP = "10.128.0.11"
CLIENT_IP = "10.128.0.1"
PODS = ("10.44.1.2", "10.44.1.3", "10.44.1.4")
PORT = 8080


@dataclass(frozen=True)
class World:
    """Names of namespaces."""

    node: str
    client: str
    pods: tuple[str, ...]


@pytest.fixture
def world(cluster: str) -> Iterator[World]:
    """The node, its pods and a client, connected, and a server in each pod that says its address."""
    made = World(f"{cluster}-node", f"{cluster}-client", tuple(f"{cluster}-pod{n}" for n in (1, 2, 3)))
    with ExitStack() as stack:
        for name in (made.node, made.client, *made.pods):
            namespace.create_namespace(name, Mark(cluster, "pod", name))
            stack.callback(namespace.delete_namespace, name)
        _connect(made)
        for name, address in zip(made.pods, PODS, strict=True):
            stack.enter_context(answering(name, address, PORT, address))
        yield made


def _connect(world: World) -> None:
    node = world.node
    run("ip", "link", "add", "cbr0", "type", "bridge", netns=node)
    run("ip", "addr", "add", "10.44.1.1/24", "dev", "cbr0", netns=node)
    run("ip", "link", "set", "cbr0", "up", netns=node)
    for number, (pod, address) in enumerate(zip(world.pods, PODS, strict=True)):
        veth = f"veth{number}"
        run("ip", "link", "add", veth, "type", "veth", "peer", "name", "eth0", "netns", pod, netns=node)
        run("ip", "link", "set", veth, "master", "cbr0", "up", netns=node)
        # br_netfilter bridges what was DNATed to the same subnet, even back out of the port that it came in by.
        run("bridge", "link", "set", "dev", veth, "hairpin", "on", netns=node)
        run("ip", "addr", "add", f"{address}/24", "dev", "eth0", netns=pod)
        run("ip", "link", "set", "eth0", "up", netns=pod)
        run("ip", "route", "add", "default", "via", "10.44.1.1", netns=pod)
    run("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", world.client, netns=node)
    for name, address, gateway in ((node, NODE_IP, CLIENT_IP), (world.client, CLIENT_IP, NODE_IP)):
        run("ip", "addr", "add", f"{address}/24", "dev", "eth0", netns=name)
        run("ip", "link", "set", "eth0", "up", netns=name)
        run("ip", "route", "add", "default", "via", gateway, netns=name)
    run("sysctl", "-qw", "net.ipv4.ip_forward=1", netns=node)


class Cluster:
    """The API, and what tests put into it. Every Service's cluster IP is 10.48.0.50."""

    def __init__(self, client: LocalClient, world: World) -> None:
        self.client = client
        self.world = world
        self.informers = Informers(client)

    async def service(self, ingress: str = "", port: int = 80, protocol: str = "TCP", **spec: Any) -> None:
        """Makes the Service "web"; `nodePort` is 30080 where its type has one."""
        entry: dict[str, Any] = {"name": "http", "port": port, "targetPort": PORT, "protocol": protocol}
        if spec.get("type", "ClusterIP") != "ClusterIP":
            entry["nodePort"] = 30080
        body = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web"},
            "spec": {"clusterIP": "10.48.0.50", "ports": [entry], **spec},
        }
        await self.client.create(SERVICE, body, "default")
        if ingress:
            status = {"status": {"loadBalancer": {"ingress": [{"ip": ingress, "ipMode": "VIP"}]}}}
            await self.client.patch(SERVICE, "web", "default", body=status, subresource="status")

    async def endpoints(self, *addresses: str, node: str = "node-1", protocol: str = "TCP") -> None:
        """Makes or replaces the one EndpointSlice of "web"."""
        body: dict[str, Any] = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": PORT, "protocol": protocol}],
            "endpoints": [{"addresses": [a], "nodeName": node, "conditions": {"ready": True}} for a in addresses],
        }
        present = {s["metadata"]["name"] for s in (await self.client.list(ENDPOINT_SLICE, "default")).items}
        if "web-1" in present:
            await self.client.patch(
                ENDPOINT_SLICE, "web-1", "default", body={"endpoints": body["endpoints"], "ports": body["ports"]}
            )
        else:
            await self.client.create(ENDPOINT_SLICE, body, "default")

    @asynccontextmanager
    async def proxied(self, changes_file: Path | None = None) -> AsyncIterator[ServiceProxy]:
        """The node's proxy at work, its first sync done."""
        self.informers = informers = Informers(self.client)
        config = ProxyConfig(
            node_name="node-1",
            namespace=namespace_path(self.world.node),
            node_ip=NODE_IP,
            local_traffic=LocalTraffic.by_cidr("10.44.0.0/14"),
            non_masquerade=("10.128.0.0/20", "10.44.0.0/14"),
            flush_check_seconds=0.2,
            changes_file=changes_file,
        )
        proxy = ServiceProxy(informers, config)
        tasks = [asyncio.create_task(informers.run()), asyncio.create_task(proxy.run())]
        try:
            await settled(proxy)
            yield proxy
        finally:
            for task in reversed(tasks):
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task


async def settled(proxy: ServiceProxy) -> None:
    """Returns when the kernel holds what the API asks for."""
    async with asyncio.timeout(30):
        await proxy.synced.wait()


@pytest.fixture
async def api(world: World, tmp_path: Path) -> AsyncIterator[Cluster]:
    async with open_registry(tmp_path / "state.db") as registry:
        yield Cluster(LocalClient(registry), world)
