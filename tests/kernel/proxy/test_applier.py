"""How a proxy keeps the kernel's rules: adopted after a restart, changed where they differ, mended when flushed."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from controlplane.api.kinds import ENDPOINT_SLICE, SERVICE
from netsim import namespace
from netsim.namespace import namespace_path
from tests.kernel.proxy.conftest import PODS, PORT, Cluster, settled
from tests.kernel.proxy.test_packets import CLUSTER_IP, asked
from tests.kernel.world import run


def saved(api: Cluster, *options: str) -> str:
    """The node's rules, without the comments that carry the time."""
    text = run("iptables-nft-save", *options, netns=api.world.node)
    return "\n".join(line for line in text.splitlines() if not line.startswith("#"))


def service_chains(api: Cluster) -> set[str]:
    return set(re.findall(r"^:(KUBE-(?:SVC|SEP|EXT|FW|SVL)-\w+)", saved(api), re.MULTILINE))


async def test_rules_outlive_the_proxy_and_are_adopted_without_a_gap(api: Cluster) -> None:
    await api.service()
    await api.endpoints(*PODS)
    async with api.proxied():
        before = saved(api)
    assert saved(api) == before
    stop = threading.Event()

    def loop() -> int:
        count = 0
        while not stop.is_set():
            client = namespace_client(api, CLUSTER_IP, 80)
            client.close()
            count += 1
        return count

    counting = asyncio.create_task(asyncio.to_thread(loop))
    for _ in range(3):
        async with api.proxied():
            pass
    stop.set()
    assert await counting > 0
    assert saved(api) == before


async def test_a_change_leaves_the_chains_of_other_services_alone(api: Cluster) -> None:
    await api.service()
    await api.endpoints(PODS[0])
    async with api.proxied() as proxy:
        await asked(CLUSTER_IP, 80, api.world.client, 3)
        (counted,) = re.findall(r"^\[3:\d+\] (-A KUBE-SERVICES .* -j KUBE-SVC-\w+)$", saved(api, "-c"), re.MULTILINE)
        old = service_chains(api)
        await api.endpoints(PODS[1])
        await settled(proxy)
        assert len(service_chains(api) - old) == 1
        assert len(old - service_chains(api)) == 1
        # The shared chain was not written again: its counters went on.
        assert re.search(r"^\[3:\d+\] " + re.escape(counted) + "$", saved(api, "-c"), re.MULTILINE)
        assert {server for server, _ in await asked(CLUSTER_IP, 80, api.world.client, 4)} == {PODS[1]}


async def test_services_are_served_though_nothing_can_be_written_of_what_changed(api: Cluster, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    await api.service()
    await api.endpoints(*PODS)
    async with api.proxied(tmp_path / "file" / "changes.json") as proxy:
        assert {server for server, _ in await asked(CLUSTER_IP, 80, api.world.client, 8)} <= set(PODS)
        await settled(proxy)


async def test_stale_chains_of_a_former_process_go(api: Cluster) -> None:
    await api.service()
    await api.endpoints(*PODS)
    async with api.proxied():
        assert len(service_chains(api)) == 4
    await api.endpoints(PODS[0])
    async with api.proxied():
        assert len(service_chains(api)) == 2


async def test_a_proxy_that_was_stopped_can_run_again(api: Cluster) -> None:
    await api.service()
    async with api.proxied() as proxy:
        pass
    await api.endpoints(*PODS)
    informers = asyncio.create_task(api.informers.run())
    working = asyncio.create_task(proxy.run())
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(30):
            while len(service_chains(api)) != 4:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        for task in (working, informers):
            task.cancel()
        await asyncio.wait((working, informers))


async def test_flushed_tables_are_mended(api: Cluster) -> None:
    await api.service()
    await api.endpoints(*PODS)
    async with api.proxied():
        before = saved(api)
        run("nft", "flush", "ruleset", netns=api.world.node)
        async with asyncio.timeout(30):
            while saved(api) != before:  # noqa: ASYNC110 - the kernel gives no event to wait for
                await asyncio.sleep(0.05)


async def test_udp_clients_leave_an_endpoint_that_is_gone(api: Cluster) -> None:
    await api.service(protocol="UDP", port=53)
    await api.endpoints(PODS[0], protocol="UDP")
    with udp_server(api.world.pods[0], "first"), udp_server(api.world.pods[1], "second"):
        async with api.proxied() as proxy:
            with ExitStack() as clients:
                with namespace.entered(namespace_path(api.world.client)):
                    opened = [
                        clients.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(20)
                    ]
                for client in opened:
                    client.settimeout(20)
                    client.connect((CLUSTER_IP, 53))
                    assert await asyncio.to_thread(exchange, client) == b"first"
                await api.endpoints(PODS[1], protocol="UDP")
                await settled(proxy)
                for client in opened:
                    assert await asyncio.to_thread(exchange, client) == b"second"


async def test_built_in_chains_hold_the_jumps_in_kube_proxys_order(api: Cluster) -> None:
    async with api.proxied():
        rules = [line.split() for line in saved(api).splitlines() if line.startswith("-A ")]
    found: dict[str, list[str]] = {}
    for words in rules:
        if not words[1].startswith(("KUBE-", "IP-MASQ")):
            found.setdefault(words[1], []).append(words[-1])
    assert found == {
        "INPUT": ["KUBE-PROXY-FIREWALL", "KUBE-NODEPORTS", "KUBE-EXTERNAL-SERVICES", "KUBE-FIREWALL"],
        "FORWARD": ["KUBE-PROXY-FIREWALL", "KUBE-FORWARD", "KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES"],
        # The table filter comes first in what iptables-save prints, then nat.
        "OUTPUT": ["KUBE-PROXY-FIREWALL", "KUBE-SERVICES", "KUBE-FIREWALL", "KUBE-SERVICES"],
        "PREROUTING": ["KUBE-SERVICES"],
        "POSTROUTING": ["KUBE-POSTROUTING", "IP-MASQ"],
    }


async def test_a_service_that_goes_takes_its_chains_along(api: Cluster) -> None:
    await api.service(type="NodePort")
    await api.endpoints(*PODS)
    async with api.proxied() as proxy:
        assert service_chains(api)
        await api.client.delete(SERVICE, "web", "default")
        await api.client.delete(ENDPOINT_SLICE, "web-1", "default")
        async with asyncio.timeout(30):
            while service_chains(api):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        await settled(proxy)
        assert "default/web" not in saved(api)


def namespace_client(api: Cluster, address: str, port: int) -> socket.socket:
    """A connection from the client's namespace."""
    with namespace.entered(namespace_path(api.world.client)):
        client = socket.socket()
    client.settimeout(20)
    client.connect((address, port))
    return client


@contextmanager
def udp_server(netns: str, answer: str) -> Iterator[None]:
    """Answers every datagram with `answer`."""
    with namespace.entered(namespace_path(netns)):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("", PORT))
    server.settimeout(0.1)
    ending = threading.Event()

    def serve() -> None:
        while not ending.is_set():
            try:
                _, peer = server.recvfrom(100)
            except TimeoutError:
                continue
            server.sendto(answer.encode(), peer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        ending.set()
        thread.join()
        server.close()


def exchange(client: socket.socket) -> bytes:
    client.send(b"?")
    return client.recv(100)
