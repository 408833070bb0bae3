"""The scheduler on a real API: it binds, spreads, says why not, and tries again when it can help."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import pytest

from controlplane.api.kinds import NODE, POD, REPLICA_SET
from controlplane.api.types import Object
from controlplane.controllers.replicaset import ReplicaSetController
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, pod_spec, replica_set


@pytest.fixture
async def running(world: World) -> World:
    world.run(Scheduler(world.client, world.informers))
    return world


def pod(name: str, *, labels: dict[str, str] | None = None, **spec: Any) -> Object:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": pod_spec(**spec)}


def asking(cpu: str) -> list[dict[str, Any]]:
    return [{"name": "main", "image": "web", "resources": {"requests": {"cpu": cpu}}}]


async def node_of(world: World, name: str) -> str:
    async def observe() -> str:
        return str((await world.client.get(POD, name, "default"))["spec"].get("nodeName", ""))

    return await world.until(observe)


async def refusal(world: World, name: str, message: str) -> None:
    async def observe() -> bool:
        found = await world.client.get(POD, name, "default")
        conditions = {entry["type"]: entry for entry in found.get("status", {}).get("conditions", [])}
        entry = conditions["PodScheduled"]
        assert (entry["status"], entry["reason"]) == ("False", "Unschedulable")
        assert entry["message"] == message
        return message in await world.messages("FailedScheduling")

    await world.until(observe)


async def test_binds_and_says_so(running: World) -> None:
    await running.add_nodes(1)
    await running.client.create(POD, pod("web"), "default")
    assert await node_of(running, "web") == "node-1"

    async def told() -> bool:
        return await running.messages("Scheduled") == ["Successfully assigned default/web to node-1"]

    await running.until(told)


async def test_replicas_spread_over_the_nodes(running: World) -> None:
    await running.add_nodes(3)
    running.run(ReplicaSetController(running.client, running.informers))
    await running.client.create(REPLICA_SET, replica_set("web", 30), "default")

    async def all_placed() -> list[str]:
        nodes = [found["spec"].get("nodeName", "") for found in await running.items(POD)]
        assert len(nodes) == 30
        return nodes if all(nodes) else []

    assert Counter(await running.until(all_placed)) == {"node-1": 10, "node-2": 10, "node-3": 10}


async def test_without_nodes_pods_wait_for_one(running: World) -> None:
    await running.client.create(POD, pod("web"), "default")
    await refusal(running, "web", "no nodes available to schedule pods")
    await running.add_nodes(1)
    assert await node_of(running, "web") == "node-1"


async def test_too_big_a_pod_waits_for_a_bigger_node(running: World) -> None:
    await running.add_nodes(2, cpu="1")
    await running.add_node("node-3", cpu="4")
    await running.client.patch(NODE, "node-3", body={"spec": {"unschedulable": True}})
    await running.client.create(POD, pod("big", containers=asking("2")), "default")
    await refusal(
        running,
        "big",
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu."
        " preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
    )
    await running.client.patch(NODE, "node-3", body={"spec": {"unschedulable": None}})
    assert await node_of(running, "big") == "node-3"


async def test_a_full_node_takes_the_next_pod_when_one_goes(running: World) -> None:
    await running.add_nodes(1, pods="1")
    await running.client.create(POD, pod("first"), "default")
    assert await node_of(running, "first") == "node-1"
    await running.client.create(POD, pod("second"), "default")
    await refusal(
        running,
        "second",
        "0/1 nodes are available: 1 Too many pods."
        " preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod.",
    )
    await running.client.delete(POD, "first", "default", grace_period_seconds=0)
    assert await node_of(running, "second") == "node-1"


async def test_other_schedulers_pods_are_left_alone(running: World) -> None:
    await running.add_nodes(1)
    await running.client.create(POD, pod("theirs", schedulerName="other"), "default")
    await running.client.create(POD, pod("ours"), "default")
    await node_of(running, "ours")
    assert "nodeName" not in (await running.client.get(POD, "theirs", "default"))["spec"]


async def test_a_pod_that_uses_what_is_not_supported_waits_and_says_so(running: World) -> None:
    await running.add_nodes(1)
    claim = {"name": "gpu", "resourceClaimName": "gpu"}
    await running.client.create(POD, pod("db", resourceClaims=[claim]), "default")
    await refusal(
        running,
        "db",
        "0/1 nodes are available: 1 pod uses spec.resourceClaims,"
        " which the scheduler of netsim does not support yet."
        " preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
    )


async def test_a_gated_pod_waits_until_its_gate_is_gone(running: World) -> None:
    await running.add_nodes(1)
    await running.client.create(POD, pod("gated", schedulingGates=[{"name": "example.com/wait"}]), "default")

    async def gated() -> bool:
        found = await running.client.get(POD, "gated", "default")
        return found["status"]["conditions"][0]["reason"] == "SchedulingGated"

    await running.until(gated)
    await running.client.patch(POD, "gated", "default", body={"spec": {"schedulingGates": None}})
    assert await node_of(running, "gated") == "node-1"


async def test_anti_affinity_keeps_one_pod_a_node(running: World) -> None:
    await running.add_nodes(2)
    term = {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": "kubernetes.io/hostname"}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    for name in ("a", "b", "c"):
        await running.client.create(POD, pod(name, labels={"app": "db"}, affinity=affinity), "default")
    assert {await node_of(running, "a"), await node_of(running, "b")} == {"node-1", "node-2"}
    await refusal(
        running,
        "c",
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."
        " preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.",
    )


async def test_a_scheduler_that_is_stopped_amid_bindings_and_run_again_places_every_pod_once(world: World) -> None:
    await world.add_nodes(2)
    scheduler = Scheduler(world.client, world.informers)
    (first,) = world.run(scheduler)
    await asyncio.gather(*(world.client.create(POD, pod(f"p{n}"), "default") for n in range(60)))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    world.run(scheduler)

    async def all_placed() -> Counter[str]:
        nodes = [found["spec"].get("nodeName", "") for found in await world.items(POD)]
        assert all(nodes)
        return Counter(nodes)

    counts = await world.until(all_placed)
    assert sum(counts.values()) == 60
    assert {name: len(node.pods) for name, node in scheduler.nodes().items()} == dict(counts)
