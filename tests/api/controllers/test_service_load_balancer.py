"""Load-balancer addresses and routes on a real API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from controlplane.api.errors import NotFound
from controlplane.api.kinds import NODE, SERVICE
from controlplane.api.types import Object
from controlplane.controllers.service_load_balancer import FINALIZER, ServiceLoadBalancer
from tests.api.controllers.conftest import World

RANGE = "203.0.113.0/29"


class Routes:
    """The router's tables: what was set last is what there is."""

    def __init__(self) -> None:
        self.now: dict[str, list[str]] = {}

    async def set_load_balancers(self, routes: Mapping[str, Sequence[str]]) -> None:
        self.now = {address: list(nodes) for address, nodes in routes.items()}


@pytest.fixture
def routes() -> Routes:
    return Routes()


@pytest.fixture
async def running(world: World, routes: Routes) -> World:
    await world.add_nodes(2)
    world.run(ServiceLoadBalancer(world.client, world.informers, RANGE, routes))
    return world


def service(name: str, **spec: Any) -> Object:
    ports = [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {"metadata": {"name": name}, "spec": {"type": "LoadBalancer", "ports": ports, **spec}}


async def address(world: World, name: str) -> str:
    async def observe() -> str:
        found = await world.client.get(SERVICE, name, "default")
        ingress = found["status"]["loadBalancer"]["ingress"]
        assert ingress[0]["ipMode"] == "VIP"
        return str(ingress[0]["ip"])

    return await world.until(observe)


async def routed(world: World, routes: Routes, expected: dict[str, list[str]]) -> None:
    async def observe() -> bool:
        assert routes.now == expected
        return True

    await world.until(observe)


BOTH = ["10.128.0.11", "10.128.0.12"]


async def test_a_route_that_somebody_took_away_comes_back(
    world: World, routes: Routes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controlplane.controllers.service_load_balancer.RESYNC_SECONDS", 0.05)
    world.run(ServiceLoadBalancer(world.client, world.informers, RANGE, routes))
    await world.add_nodes(2)
    await world.client.create(SERVICE, service("web"), "default")
    await routed(world, routes, {"203.0.113.1": BOTH})
    routes.now = {}
    await routed(world, routes, {"203.0.113.1": BOTH})


async def test_an_address_at_once_and_a_route_to_every_ready_node(running: World, routes: Routes) -> None:
    await running.client.create(SERVICE, service("web"), "default")
    assert await address(running, "web") == "203.0.113.1"
    await routed(running, routes, {"203.0.113.1": BOTH})
    found = await running.client.get(SERVICE, "web", "default")
    assert found["metadata"]["finalizers"] == [FINALIZER]

    async def all_told() -> bool:
        told = [await running.messages(reason) for reason in ("EnsuringLoadBalancer", "EnsuredLoadBalancer")]
        return told == [["Ensuring load balancer"], ["Ensured load balancer"]]

    await running.until(all_told)
    not_ready = {"status": {"conditions": [{"type": "Ready", "status": "False", "reason": "x"}]}}
    await running.client.patch(NODE, "node-1", body=not_ready, subresource="status")
    await routed(running, routes, {"203.0.113.1": ["10.128.0.12"]})


async def test_many_services_get_different_addresses_until_there_are_none(running: World) -> None:
    await asyncio.gather(*(running.client.create(SERVICE, service(f"s{n}"), "default") for n in range(6)))
    given = [await address(running, f"s{n}") for n in range(6)]
    assert len(set(given)) == 6
    await running.client.create(SERVICE, service("late"), "default")

    async def refused() -> bool:
        return bool(await running.messages("SyncLoadBalancerFailed"))

    await running.until(refused)
    (message,) = await running.messages("SyncLoadBalancerFailed")
    assert message.endswith("no free address left in 203.0.113.0/29")
    await running.client.delete(SERVICE, "s3", "default")
    assert await address(running, "late") == given[3]


async def test_a_wanted_address_is_given_if_it_is_free_and_in_the_range(running: World) -> None:
    await running.client.create(SERVICE, service("web", loadBalancerIP="203.0.113.5"), "default")
    assert await address(running, "web") == "203.0.113.5"
    await running.client.create(SERVICE, service("taken", loadBalancerIP="203.0.113.5"), "default")
    await running.client.create(SERVICE, service("outside", loadBalancerIP="192.0.2.1"), "default")

    async def refused() -> bool:
        messages = await running.messages("SyncLoadBalancerFailed")
        assert any("203.0.113.5 is already in use" in message for message in messages)
        assert any("192.0.2.1 is not in the load balancer range" in message for message in messages)
        return True

    await running.until(refused)


async def test_delete_and_change_of_type_release_the_address(running: World, routes: Routes) -> None:
    for name in ("a", "b"):
        await running.client.create(SERVICE, service(name), "default")
        await address(running, name)
    await running.client.delete(SERVICE, "a", "default")

    async def gone() -> bool:
        try:
            await running.client.get(SERVICE, "a", "default")
        except NotFound:
            return True
        return False

    await running.until(gone)
    await running.client.patch(SERVICE, "b", "default", body={"spec": {"type": "ClusterIP"}})

    async def released() -> bool:
        found = await running.client.get(SERVICE, "b", "default")
        return not found["status"]["loadBalancer"] and "finalizers" not in found["metadata"]

    await running.until(released)
    await routed(running, routes, {})


async def test_a_restart_keeps_addresses(world: World, routes: Routes) -> None:
    await world.add_nodes(2)
    (first,) = world.run(ServiceLoadBalancer(world.client, world.informers, RANGE, routes))
    await world.client.create(SERVICE, service("a"), "default")
    before = await address(world, "a")
    first.cancel()
    fresh = Routes()
    world.run(ServiceLoadBalancer(world.client, world.informers, RANGE, fresh))
    await world.client.create(SERVICE, service("b"), "default")
    after = await address(world, "b")
    assert after != before
    await routed(world, fresh, {before: BOTH, after: BOTH})
