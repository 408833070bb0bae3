"""Endpoints made by hand become EndpointSlices, and nothing else does."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.kinds import ENDPOINT_SLICE, ENDPOINTS, SERVICE
from controlplane.api.types import Object
from controlplane.controllers.endpoints_mirroring import EndpointsMirroring
from controlplane.controllers.garbage import GarbageCollector
from tests.api.controllers.conftest import World

SLICES = "endpointslice.kubernetes.io/managed-by"


@pytest.fixture
async def running(world: World) -> World:
    world.run(EndpointsMirroring(world.client, world.informers), GarbageCollector(world.client, world.informers))
    return world


def endpoints(name: str = "db", *addresses: str, **metadata: Any) -> Object:
    subset = {"addresses": [{"ip": one} for one in addresses], "ports": [{"name": "sql", "port": 5432}]}
    return {"metadata": {"name": name, **metadata}, "subsets": [subset]}


def service(name: str = "db", **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"ports": [{"name": "sql", "port": 5432}], **spec}}


async def mirrored(world: World, *addresses: str) -> Object:
    async def observe() -> Object | None:
        slices = await world.items(ENDPOINT_SLICE)
        held = [sorted(one["addresses"][0] for one in found.get("endpoints") or ()) for found in slices]
        return slices[0] if held == [sorted(addresses)] else None

    found = await world.until(observe)
    assert found is not None
    return found


async def test_a_service_without_a_selector_leads_where_its_endpoints_say(running: World) -> None:
    await running.client.create(SERVICE, service(), "default")
    made = await running.client.create(ENDPOINTS, endpoints("db", "192.0.2.7", labels={"app": "db"}), "default")
    found = await mirrored(running, "192.0.2.7")
    labels = found["metadata"]["labels"]
    assert labels["kubernetes.io/service-name"] == "db"
    assert labels[SLICES] == "endpointslicemirroring-controller.k8s.io"
    assert labels["app"] == "db"
    assert found["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert found["addressType"] == "IPv4"
    assert (found["ports"][0]["name"], found["ports"][0]["port"]) == ("sql", 5432)
    assert found["endpoints"][0]["conditions"]["ready"] is True
    body = {"subsets": endpoints("db", "192.0.2.8", "192.0.2.9")["subsets"]}
    await running.client.patch(ENDPOINTS, "db", "default", body=body)
    again = await mirrored(running, "192.0.2.8", "192.0.2.9")
    assert again["metadata"]["name"] == found["metadata"]["name"]
    await running.client.delete(ENDPOINTS, "db", "default")

    async def gone() -> bool:
        return not await running.items(ENDPOINT_SLICE)

    await running.until(gone)


async def test_what_is_not_to_be_mirrored_is_not(running: World) -> None:
    for name in ("skipped", "leader", "selected", "alone", "last"):
        selector = {"selector": {"app": "x"}} if name == "selected" else {}
        if name != "alone":
            await running.client.create(SERVICE, service(name, **selector), "default")
    skip = {"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}
    leader = {"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}}
    await running.client.create(ENDPOINTS, endpoints("skipped", "192.0.2.1", **skip), "default")
    await running.client.create(ENDPOINTS, endpoints("leader", "192.0.2.2", **leader), "default")
    await running.client.create(ENDPOINTS, endpoints("selected", "192.0.2.3"), "default")
    await running.client.create(ENDPOINTS, endpoints("alone", "192.0.2.4"), "default")
    await running.client.create(ENDPOINTS, endpoints("last", "192.0.2.5"), "default")
    found = await mirrored(running, "192.0.2.5")
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "last"
    await running.client.create(SERVICE, service("alone"), "default")

    async def both() -> bool:
        return len(await running.items(ENDPOINT_SLICE)) == 2

    await running.until(both)


async def test_each_set_of_ports_and_family_has_a_slice(running: World) -> None:
    await running.client.create(SERVICE, service(), "default")
    first = {"addresses": [{"ip": "192.0.2.1"}], "ports": [{"name": "sql", "port": 5432}]}
    other = {"notReadyAddresses": [{"ip": "192.0.2.2"}], "ports": [{"name": "sql", "port": 5433}]}
    body = {"metadata": {"name": "db"}, "subsets": [first, other]}
    await running.client.create(ENDPOINTS, body, "default")

    async def two() -> list[Object]:
        found = await running.items(ENDPOINT_SLICE)
        return found if len(found) == 2 else []

    slices = {one["ports"][0]["port"]: one for one in await running.until(two)}
    assert slices[5432]["endpoints"][0]["conditions"]["ready"] is True
    assert slices[5433]["endpoints"][0]["conditions"]["ready"] is False
