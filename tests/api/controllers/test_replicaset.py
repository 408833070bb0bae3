"""The ReplicaSet controller on a real API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from controlplane.api.kinds import POD, REPLICA_SET
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers
from controlplane.client.interface import WatchEvent
from controlplane.client.local import LocalClient
from controlplane.controllers.replicaset import ReplicaSetController
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, pod_spec, replica_set


@pytest.fixture
async def running(world: World) -> World:
    await world.add_nodes(2)
    world.run(ReplicaSetController(world.client, world.informers))
    world.run(Scheduler(world.client, world.informers), world.kubelet)
    return world


async def ready(world: World, name: str, replicas: int) -> Object:
    async def observe() -> Object:
        rs = await world.client.get(REPLICA_SET, name, "default")
        assert rs.get("status", {}).get("readyReplicas", 0) == replicas, rs.get("status")
        assert rs["status"]["replicas"] == replicas, rs["status"]
        return rs

    return await world.until(observe)


async def test_creates_the_pods_and_says_so(running: World) -> None:
    await running.client.create(REPLICA_SET, replica_set("web", 3), "default")
    rs = await ready(running, "web", 3)
    pods = await running.items(POD, "default")
    assert rs["status"] == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "terminatingReplicas": 0,
        "observedGeneration": rs["metadata"].get("generation", 0),
    }
    for pod in pods:
        name = pod["metadata"]["name"]
        assert name.startswith("web-")
        assert len(name) == len("web-") + 5
        assert pod["metadata"]["generateName"] == "web-"
        assert pod["metadata"]["ownerReferences"] == [
            {
                "apiVersion": "apps/v1",
                "kind": "ReplicaSet",
                "name": "web",
                "uid": rs["metadata"]["uid"],
                "controller": True,
                "blockOwnerDeletion": True,
            }
        ]
    told = {f"Created pod: {pod['metadata']['name']}" for pod in pods}

    async def all_told() -> bool:
        return set(await running.messages("SuccessfulCreate")) == told

    await running.until(all_told)


async def test_a_hundred_pods_are_created_once_each_with_few_status_writes(running: World) -> None:
    await running.client.create(REPLICA_SET, replica_set("web", 100), "default")
    before = int((await running.client.list(REPLICA_SET)).resource_version)
    versions = []
    rs_informer = running.informers.of(REPLICA_SET)
    rs_informer.add_handler(lambda old, new: versions.append(new))
    await ready(running, "web", 100)
    await asyncio.sleep(0.1)
    assert len(await running.items(POD, "default")) == 100
    assert before > 0
    assert len(versions) < 40


async def test_a_deleted_pod_is_replaced_by_another(running: World) -> None:
    await running.client.create(REPLICA_SET, replica_set("web", 2), "default")
    await ready(running, "web", 2)
    victim = (await running.items(POD, "default"))[0]["metadata"]["name"]
    await running.client.delete(POD, victim, "default")

    async def replaced() -> bool:
        names = {pod["metadata"]["name"] for pod in await running.items(POD, "default")}
        return victim not in names and len(names) == 2

    await running.until(replaced)
    await ready(running, "web", 2)


async def test_scaling_down_deletes_the_pods_that_are_not_ready_first(running: World) -> None:
    running.kubelet.broken = lambda pod: len(broken) < 2 and not broken.add(pod["metadata"]["name"])
    broken: set[str] = set()
    await running.client.create(REPLICA_SET, replica_set("web", 5), "default")

    async def three_ready() -> bool:
        rs = await running.client.get(REPLICA_SET, "web", "default")
        return rs.get("status", {}).get("readyReplicas") == 3

    await running.until(three_ready)
    await running.client.patch(REPLICA_SET, "web", "default", body={"spec": {"replicas": 3}})
    await ready(running, "web", 3)

    async def gone() -> bool:
        return not broken & {pod["metadata"]["name"] for pod in await running.items(POD, "default")}

    await running.until(gone)
    told = {f"Deleted pod: {name}" for name in broken}

    async def all_told() -> bool:
        return set(await running.messages("SuccessfulDelete")) == told

    await running.until(all_told)


async def test_adopts_an_orphan_and_releases_what_no_longer_matches(running: World) -> None:
    orphan = {"metadata": {"name": "orphan", "labels": {"app": "web"}}, "spec": pod_spec()}
    await running.client.create(POD, orphan, "default")
    rs = await running.client.create(REPLICA_SET, replica_set("web", 1), "default")
    await ready(running, "web", 1)
    pod = await running.client.get(POD, "orphan", "default")
    assert pod["metadata"]["ownerReferences"][0]["uid"] == rs["metadata"]["uid"]
    assert len(await running.items(POD, "default")) == 1
    await running.client.patch(POD, "orphan", "default", body={"metadata": {"labels": {"app": "other"}}})

    async def released() -> bool:
        pod = await running.client.get(POD, "orphan", "default")
        return "ownerReferences" not in pod["metadata"] and len(await running.items(POD, "default")) == 2

    await running.until(released)


async def test_min_ready_seconds_delays_availability(running: World) -> None:
    # Readiness is dated in whole seconds: of two, between one and two are left.
    await running.client.create(REPLICA_SET, replica_set("web", 1, minReadySeconds=2), "default")
    rs = await ready(running, "web", 1)
    assert "availableReplicas" not in rs["status"]

    async def available() -> bool:
        rs = await running.client.get(REPLICA_SET, "web", "default")
        return rs["status"].get("availableReplicas") == 1

    await running.until(available)


async def test_a_controller_that_starts_late_creates_only_what_is_missing(world: World) -> None:
    await world.add_nodes(1)
    world.run(Scheduler(world.client, world.informers), world.kubelet)
    await world.client.create(REPLICA_SET, replica_set("web", 3), "default")
    (first,) = world.run(ReplicaSetController(world.client, world.informers))
    await ready(world, "web", 3)
    first.cancel()
    world.run(ReplicaSetController(world.client, world.informers))
    await world.client.patch(REPLICA_SET, "web", "default", body={"spec": {"replicas": 4}})
    await ready(world, "web", 4)
    assert len(await world.items(POD, "default")) == 4


class LateClient(LocalClient):
    """A client whose watches of pods tell everything a while later, as over a slow line."""

    async def watch(self, kind: Kind, namespace: str = "", **options: Any) -> AsyncIterator[WatchEvent]:
        async for event in super().watch(kind, namespace, **options):
            if kind is POD:
                await asyncio.sleep(0.15)
            yield event


async def test_a_late_cache_makes_no_pod_twice(world: World) -> None:
    await world.add_nodes(1)
    client = LateClient(world.registry)
    informers = Informers(client)
    world.run(informers, ReplicaSetController(client, informers))
    await world.client.create(REPLICA_SET, replica_set("web", 3), "default")

    async def three() -> bool:
        return len(await world.items(POD)) == 3

    await world.until(three)
    for number in range(10):
        # Each change of the ReplicaSet is a reconcile, while the cache shows only some of the pods.
        body = {"metadata": {"annotations": {"touched": str(number)}}}
        await world.client.patch(REPLICA_SET, "web", "default", body=body)
        await asyncio.sleep(0.03)
    await world.until(lambda: status_shows(world, 3))
    assert len(await world.messages("SuccessfulCreate")) == 3
    assert not await world.messages("SuccessfulDelete")


async def status_shows(world: World, replicas: int) -> bool:
    rs = await world.client.get(REPLICA_SET, "web", "default")
    return bool(rs["status"]["replicas"] == replicas)
