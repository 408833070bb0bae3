"""Real packets through the rules of a real proxy: who answers, and whom the answerer sees."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.kernel.proxy.conftest import CLIENT_IP, NODE_IP, PODS, PORT, Cluster
from tests.kernel.world import answering, ask, run

CLUSTER_IP = "10.48.0.50"
LOAD_BALANCER = "203.0.113.7"


async def asked(address: str, port: int, netns: str, times: int = 1) -> list[tuple[str, str]]:
    """Who answered, and whom it saw, for each of `times` connections."""

    def work() -> list[tuple[str, str]]:
        answers = (ask(address, port, netns=netns).split() for _ in range(times))
        return [(server, peer) for server, peer in answers]

    return await asyncio.to_thread(work)


async def test_cluster_ip_spreads_over_all_endpoints(api: Cluster) -> None:
    await api.service()
    await api.endpoints(*PODS)
    async with api.proxied():
        answers = await asked(CLUSTER_IP, 80, api.world.pods[0], 60)
        from_node = await asked(CLUSTER_IP, 80, api.world.node)
    servers = Counter(server for server, _ in answers)
    assert set(servers) == set(PODS)
    assert min(servers.values()) >= 5
    # A pod that is led to another pod is seen as itself; led to itself, as the node (hairpin).
    assert {peer for server, peer in answers if server != PODS[0]} == {PODS[0]}
    assert {peer for server, peer in answers if server == PODS[0]} == {"10.44.1.1"}
    assert from_node[0][0] in PODS


async def test_node_port_and_load_balancer_hide_the_client_by_default(api: Cluster) -> None:
    await api.service(LOAD_BALANCER, type="LoadBalancer")
    await api.endpoints(*PODS)
    async with api.proxied():
        by_node_port = await asked(NODE_IP, 30080, api.world.client, 5)
        by_load_balancer = await asked(LOAD_BALANCER, 80, api.world.client, 5)
        from_pod = await asked(LOAD_BALANCER, 80, api.world.pods[1], 3)
        on_localhost = await asked("127.0.0.1", 30080, api.world.node)
    assert {server for server, _ in by_node_port + by_load_balancer + from_pod} <= set(PODS)
    assert {peer for _, peer in by_node_port + by_load_balancer} == {"10.44.1.1"}
    assert on_localhost[0][0] in PODS


async def test_external_policy_local_keeps_the_clients_address(api: Cluster) -> None:
    await api.service(LOAD_BALANCER, type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31000)
    await api.endpoints(PODS[0], PODS[2])
    async with api.proxied():
        answers = await asked(LOAD_BALANCER, 80, api.world.client, 6) + await asked(NODE_IP, 30080, api.world.client)
        health = await asyncio.to_thread(
            run, "busybox", "wget", "-qO-", f"http://{NODE_IP}:31000/healthz", netns=api.world.client
        )
    assert {peer for _, peer in answers} == {CLIENT_IP}
    assert '"localEndpoints": 2' in health


async def test_session_affinity_keeps_a_client_at_one_endpoint(api: Cluster) -> None:
    await api.service(sessionAffinity="ClientIP")
    await api.endpoints(*PODS)
    async with api.proxied():
        answers = await asked(CLUSTER_IP, 80, api.world.client, 12)
    assert len({server for server, _ in answers}) == 1


async def test_without_endpoints_a_connection_is_refused(api: Cluster) -> None:
    await api.service()
    async with api.proxied():
        with pytest.raises(ConnectionRefusedError):
            await asked(CLUSTER_IP, 80, api.world.pods[0])
        with pytest.raises(ConnectionRefusedError):
            await asked(CLUSTER_IP, 80, api.world.node)


async def test_source_ranges_drop_everybody_else(api: Cluster) -> None:
    await api.service(LOAD_BALANCER, type="LoadBalancer", loadBalancerSourceRanges=["192.0.2.0/24"])
    await api.endpoints(*PODS)
    async with api.proxied():
        with pytest.raises(TimeoutError):
            await asked(LOAD_BALANCER, 80, api.world.client)
        run("ip", "addr", "add", "192.0.2.9/32", "dev", "lo", netns=api.world.client)
        run("ip", "route", "replace", "default", "via", NODE_IP, "src", "192.0.2.9", netns=api.world.client)
        assert (await asked(LOAD_BALANCER, 80, api.world.client))[0][0] in PODS


async def test_pod_traffic_that_leaves_the_vpc_gets_the_nodes_address(api: Cluster) -> None:
    await api.service()
    run("ip", "addr", "add", "198.51.100.1/32", "dev", "lo", netns=api.world.client)
    async with api.proxied():
        with answering(api.world.client, "0.0.0.0", PORT, "outside"):
            outside = await asked("198.51.100.1", PORT, api.world.pods[0])
            inside = await asked(CLIENT_IP, PORT, api.world.pods[0])
    assert outside == [("outside", NODE_IP)]
    assert inside == [("outside", PODS[0])]
