"""The Service proxy on 1,000 Services of 3 endpoints: writing all rules, and following one endpoint's change.

The reference of the full sync is `iptables-restore` of the same file in a namespace of its own. A change is timed from
the API's answer until a connection to the Service's address reaches the new endpoint.
"""

from __future__ import annotations

import asyncio
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from bench import harness
from bench.harness import Session
from controlplane.api.kinds import ENDPOINT_SLICE, SERVICE
from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.proxy import LocalTraffic, ProxyConfig, ServiceProxy
from controlplane.server.assembly import open_registry
from netsim import firewall, namespace
from netsim.mark import Mark
from netsim.namespace import NamespaceExecutor, namespace_path

SERVICES = 1000
ENDPOINTS = 3
CHANGES = 20
PORT = 8080
NAMESPACE = "bench-services"
ADDRESSES = ("10.44.250.1", "10.44.250.2")
SECONDS = 120
ATTEMPT_SECONDS = 0.05


def run(session: Session) -> None:
    """Both figures."""
    with ExitStack() as stack:
        for name in (NAMESPACE, f"{NAMESPACE}-2"):
            namespace.create_namespace(name, Mark("bench", "node", name))
            stack.callback(namespace.delete_namespace, name)
        scratch = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-services-"))
        stack.enter_context(_endpoints())
        asyncio.run(_measure(session, Path(scratch)))


async def _measure(session: Session, scratch: Path) -> None:
    async with open_registry(scratch / "state.db") as registry:
        client = LocalClient(registry)
        for number in range(SERVICES):
            await client.create(SERVICE, _service(number), "default")
            await client.create(ENDPOINT_SLICE, _slice(number, _addresses(number)), "default")
        informers = Informers(client)
        watching = asyncio.create_task(informers.run())
        try:
            full = [await _full_sync(informers) for _ in range(session.runs)]
            rules = _rules()
            restore = [_restore(rules) for _ in range(session.runs)]
            session.report(
                f"full sync of {SERVICES} Services x {ENDPOINTS} endpoints",
                full,
                restore,
                "s",
                "<= 1.3x",
                reference_is="iptables-restore of it",
            )
            changes = [seconds * 1000 for seconds in await _changes(client, informers)]
            session.report("an endpoint changes, until packets follow, p50", changes, None, "ms")
            session.report("the same, worst", max(changes), None, "ms", "<= 150")
        finally:
            await _cancel(watching)


async def _full_sync(informers: Informers) -> float:
    """A proxy's first sync of an empty namespace."""
    await asyncio.to_thread(_flush)
    proxy = ServiceProxy(informers, _config())
    began = time.monotonic()
    working = asyncio.create_task(proxy.run())
    async with asyncio.timeout(SECONDS):
        await proxy.synced.wait()
    took = time.monotonic() - began
    await _cancel(working)
    return took


async def _changes(client: LocalClient, informers: Informers) -> list[float]:
    proxy = ServiceProxy(informers, _config())
    working = asyncio.create_task(proxy.run())
    times = []
    try:
        async with asyncio.timeout(SECONDS):
            await proxy.synced.wait()
            for turn in range(CHANGES):
                await asyncio.sleep(0.3)  # so that each change meets an idle proxy
                wanted = ADDRESSES[turn % 2]
                body = {"endpoints": _slice(0, [wanted])["endpoints"]}
                await client.patch(ENDPOINT_SLICE, "svc-0-1", "default", body=body)
                began = time.monotonic()
                await asyncio.to_thread(_until_reached, wanted)
                times.append(time.monotonic() - began)
    finally:
        await _cancel(working)
    return times


def _until_reached(address: str) -> None:
    with namespace.entered(namespace_path(NAMESPACE)):
        while True:
            with suppress(OSError), socket.create_connection((_cluster_ip(0), 80), timeout=ATTEMPT_SECONDS) as client:
                if client.recv(100).decode() == address:
                    return


def _restore(rules: str) -> float:
    executor = NamespaceExecutor(namespace_path(f"{NAMESPACE}-2"), "bench-restore")
    try:
        executor.submit(_flush_here).result(SECONDS)
        began = time.monotonic()
        executor.submit(firewall.restore, rules).result(SECONDS)
        return time.monotonic() - began
    finally:
        executor.close()


def _rules() -> str:
    with namespace.entered(namespace_path(NAMESPACE)):
        saved = firewall.save()
    # The counters' objects exist in the other namespace only.
    return saved.replace("-m nfacct --nfacct-name  ct_state_invalid_dropped_pkts ", "")


def _flush() -> None:
    with namespace.entered(namespace_path(NAMESPACE)):
        _flush_here()


def _flush_here() -> None:
    firewall.nft("flush ruleset\n")


@contextmanager
def _endpoints() -> Iterator[None]:
    """Two addresses in the node's namespace, and one server that says to which of them the client came."""
    with namespace.entered(namespace_path(NAMESPACE)):
        for address in ADDRESSES:
            firewall.run(["ip", "addr", "add", f"{address}/32", "dev", "lo"])
        # The cluster IP needs a route out, on which its translation then happens.
        firewall.run(["ip", "route", "add", "10.48.0.0/20", "dev", "lo"])
        listener = socket.create_server(("", PORT), backlog=128)
    listener.settimeout(0.1)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            with suppress(TimeoutError):
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(connection.getsockname()[0].encode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        listener.close()


def _config() -> ProxyConfig:
    return ProxyConfig("node-1", namespace_path(NAMESPACE), "10.128.0.11", LocalTraffic.by_cidr("10.44.0.0/14"))


def _cluster_ip(number: int) -> str:
    return f"10.48.{8 + number // 250}.{1 + number % 250}"


def _addresses(number: int) -> list[str]:
    return [f"10.44.{1 + number % 200}.{2 + (number // 200) * ENDPOINTS + index}" for index in range(ENDPOINTS)]


def _service(number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"svc-{number}"},
        "spec": {"clusterIP": _cluster_ip(number), "ports": [{"name": "http", "port": 80, "targetPort": PORT}]},
    }


def _slice(number: int, addresses: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"svc-{number}-1", "labels": {"kubernetes.io/service-name": f"svc-{number}"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
    }


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


if __name__ == "__main__":
    harness.main(run)
