"""Garbage collection and namespace deletion on a real API."""

from __future__ import annotations

import asyncio

import pytest

from controlplane.api.errors import NotFound
from controlplane.api.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, REPLICA_SET, SECRET, SERVICE_ACCOUNT
from controlplane.api.types import Kind, Object
from controlplane.controllers.deployment import DeploymentController
from controlplane.controllers.garbage import GarbageCollector
from controlplane.controllers.namespace import NamespaceController
from controlplane.controllers.replicaset import ReplicaSetController
from controlplane.controllers.root_ca import RootCAController
from controlplane.controllers.service_account import ServiceAccountController
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, deployment


@pytest.fixture
async def running(world: World) -> World:
    await world.add_nodes(2)
    world.run(
        GarbageCollector(world.client, world.informers),
        NamespaceController(world.client, world.informers),
        DeploymentController(world.client, world.informers),
        ReplicaSetController(world.client, world.informers),
        Scheduler(world.client, world.informers),
        world.kubelet,
    )
    return world


def config_map(name: str, *owners: Object, blocks: bool = True) -> Object:
    references = [
        {
            "apiVersion": owner["apiVersion"],
            "kind": owner["kind"],
            "name": owner["metadata"]["name"],
            "uid": owner["metadata"]["uid"],
            "blockOwnerDeletion": blocks,
        }
        for owner in owners
    ]
    return {"metadata": {"name": name, **({"ownerReferences": references} if references else {})}}


async def make(world: World, name: str, *owners: Object, blocks: bool = True) -> Object:
    return await world.client.create(CONFIG_MAP, config_map(name, *owners, blocks=blocks), "default")


async def is_there(world: World, kind: Kind, name: str, namespace: str = "default") -> bool:
    try:
        await world.client.get(kind, name, namespace)
    except NotFound:
        return False
    return True


async def gone(world: World, kind: Kind, name: str, namespace: str = "default") -> None:
    async def observe() -> bool:
        return not await is_there(world, kind, name, namespace)

    await world.until(observe)


async def web(world: World) -> None:
    await world.client.create(DEPLOYMENT, deployment("web", 3), "default")

    async def ready() -> bool:
        found = await world.client.get(DEPLOYMENT, "web", "default")
        return found.get("status", {}).get("readyReplicas") == 3

    await world.until(ready)


async def test_deleting_a_deployment_takes_all_with_it(running: World) -> None:
    await web(running)
    await running.client.delete(DEPLOYMENT, "web", "default")

    async def nothing() -> bool:
        return not await running.items(REPLICA_SET) and not await running.items(POD)

    await running.until(nothing)


async def test_foreground_deletion_ends_with_the_owner(running: World) -> None:
    await web(running)
    running.kubelet.ends = False
    await running.client.delete(DEPLOYMENT, "web", "default", propagation_policy="Foreground")

    async def pods_are_ending() -> bool:
        pods = await running.items(POD)
        return all("deletionTimestamp" in pod["metadata"] for pod in pods)

    await running.until(pods_are_ending)
    assert await is_there(running, DEPLOYMENT, "web")
    for pod in await running.items(POD):
        await running.client.delete(POD, pod["metadata"]["name"], "default", grace_period_seconds=0)
    await gone(running, DEPLOYMENT, "web")
    assert not await running.items(REPLICA_SET)


async def test_orphaning_deletion_leaves_the_dependents_without_owner(running: World) -> None:
    await web(running)
    await running.client.delete(DEPLOYMENT, "web", "default", propagation_policy="Orphan")
    await gone(running, DEPLOYMENT, "web")
    (rs,) = await running.items(REPLICA_SET)
    assert "ownerReferences" not in rs["metadata"]
    assert len(await running.items(POD)) == 3


async def test_an_owner_that_was_never_there_is_an_absent_owner(running: World) -> None:
    owner = await make(running, "owner")
    imposter = {**owner, "metadata": {**owner["metadata"], "uid": "00000000-0000-0000-0000-000000000000"}}
    await make(running, "orphaned", imposter)
    await gone(running, CONFIG_MAP, "orphaned")
    assert await is_there(running, CONFIG_MAP, "owner")


async def test_one_owner_of_two_is_enough_and_the_other_reference_is_taken_off(running: World) -> None:
    one, other = await make(running, "one"), await make(running, "other")
    await make(running, "shared", one, other)
    await running.client.delete(CONFIG_MAP, "one", "default")

    async def reference_gone() -> bool:
        shared = await running.client.get(CONFIG_MAP, "shared", "default")
        return [ref["name"] for ref in shared["metadata"]["ownerReferences"]] == ["other"]

    await running.until(reference_gone)


async def test_dependents_that_do_not_block_are_not_waited_for(running: World) -> None:
    owner = await make(running, "owner")
    body = config_map("stays", owner, blocks=False)
    body["metadata"]["finalizers"] = ["example.com/hold"]
    await running.client.create(CONFIG_MAP, body, "default")
    await running.client.delete(CONFIG_MAP, "owner", "default", propagation_policy="Foreground")
    await gone(running, CONFIG_MAP, "owner")
    assert await is_there(running, CONFIG_MAP, "stays")


async def test_garbage_made_while_nobody_looked_is_collected_at_the_start(world: World) -> None:
    owner = await make(world, "owner")
    await make(world, "orphaned", owner)
    await make(world, "kept")
    await world.client.delete(CONFIG_MAP, "owner", "default")
    world.run(GarbageCollector(world.client, world.informers))
    await gone(world, CONFIG_MAP, "orphaned")
    assert await is_there(world, CONFIG_MAP, "kept")


async def test_an_empty_namespace_goes(running: World) -> None:
    await running.client.create(NAMESPACE, {"metadata": {"name": "empty"}})
    await running.client.delete(NAMESPACE, "empty")
    await gone(running, NAMESPACE, "empty", "")


async def test_a_namespace_is_emptied_first(running: World) -> None:
    await running.client.create(NAMESPACE, {"metadata": {"name": "full"}})
    await running.client.create(DEPLOYMENT, deployment("web", 2), "full")
    held = {"metadata": {"name": "held", "finalizers": ["example.com/hold"]}}
    await running.client.create(CONFIG_MAP, held, "full")
    await running.client.create(SECRET, {"metadata": {"name": "s"}}, "full")
    await running.client.delete(NAMESPACE, "full")

    async def waits_for_the_finalizer() -> bool:
        found = await running.client.get(NAMESPACE, "full")
        assert found["status"]["phase"] == "Terminating"
        conditions = {entry["type"]: entry for entry in found["status"].get("conditions", [])}
        remaining = conditions.get("NamespaceFinalizersRemaining", {}).get("message", "")
        assert "example.com/hold in 1 resource instances" in remaining
        return not await running.items(POD, "full") and not await running.items(SECRET, "full")

    await running.until(waits_for_the_finalizer)
    await running.client.patch(CONFIG_MAP, "held", "full", body={"metadata": {"finalizers": None}})
    await gone(running, NAMESPACE, "full", "")


async def test_every_namespace_has_an_account_and_the_ca(world: World) -> None:
    world.run(
        ServiceAccountController(world.client, world.informers),
        RootCAController(world.client, world.informers, "PEM"),
    )
    await world.client.create(NAMESPACE, {"metadata": {"name": "late"}})

    async def there() -> bool:
        for namespace in ("default", "kube-system", "late"):
            assert await is_there(world, SERVICE_ACCOUNT, "default", namespace)
            found = await world.client.get(CONFIG_MAP, "kube-root-ca.crt", namespace)
            assert found["data"] == {"ca.crt": "PEM"}
        return True

    await world.until(there)
    await world.client.patch(CONFIG_MAP, "kube-root-ca.crt", "late", body={"data": {"ca.crt": "other"}})
    await world.client.delete(SERVICE_ACCOUNT, "default", "late")
    await asyncio.sleep(0)
    await world.until(there)
