"""Preemption on a real API: the victim is told why and goes, the other waits for its node and gets it."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.errors import NotFound
from controlplane.api.kinds import NODE, POD, PRIORITY_CLASS
from controlplane.api.types import Object
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, pod_spec


@pytest.fixture
async def running(world: World) -> World:
    await world.client.create(PRIORITY_CLASS, {"metadata": {"name": "urgent"}, "value": 1000})
    await world.client.create(PRIORITY_CLASS, {"metadata": {"name": "later"}, "value": 10})
    world.run(Scheduler(world.client, world.informers), world.kubelet)
    return world


def pod(name: str, cpu: str, priority: str | None = None, **spec: Any) -> Object:
    containers = [{"name": "main", "image": "web", "resources": {"requests": {"cpu": cpu}}}]
    return {
        "metadata": {"name": name},
        "spec": {
            **pod_spec(),
            "containers": containers,
            **({"priorityClassName": priority} if priority else {}),
            **spec,
        },
    }


async def placed(world: World, name: str) -> Object:
    async def observe() -> Object | None:
        found = await world.client.get(POD, name, "default")
        return found if found["spec"].get("nodeName") else None

    found = await world.until(observe)
    assert found is not None
    return found


async def test_a_more_important_pod_takes_the_place_of_another(running: World) -> None:
    await running.add_nodes(1, cpu="2")
    running.kubelet.ends = False
    await running.client.create(POD, pod("low", "2"), "default")
    low = await placed(running, "low")
    high = await running.client.create(POD, pod("high", "2", "urgent"), "default")

    async def nominated() -> bool:
        waiting = await running.client.get(POD, "high", "default")
        going = await running.client.get(POD, "low", "default")
        target = {one["type"]: one for one in going["status"]["conditions"]}["DisruptionTarget"]
        assert (target["reason"], target["status"]) == ("PreemptionByScheduler", "True")
        assert target["message"] == "default-scheduler: preempting to accommodate a higher priority pod"
        assert "deletionTimestamp" in going["metadata"]
        return bool(waiting["status"].get("nominatedNodeName") == "node-1")

    await running.until(nominated)
    assert await running.messages("FailedScheduling") == ["0/1 nodes are available: 1 Insufficient cpu."]
    await running.client.create(POD, pod("sneaky", "1", "later"), "default")
    await running.client.delete(POD, "low", "default", grace_period_seconds=0, uid=low["metadata"]["uid"])
    got = await placed(running, "high")
    assert "nominatedNodeName" not in got["status"]
    assert "nodeName" not in (await running.client.get(POD, "sneaky", "default"))["spec"]
    uid = high["metadata"]["uid"]

    async def told() -> bool:
        return await running.messages("Preempted") == [f"Preempted by pod {uid} on node node-1"]

    await running.until(told)


async def test_victims_end_with_their_grace_and_make_room(running: World) -> None:
    await running.add_nodes(2, cpu="1")
    for name in ("a", "b"):
        await running.client.create(POD, pod(name, "1"), "default")
        await placed(running, name)
    await running.client.create(POD, pod("high", "1", "urgent"), "default")
    node = (await placed(running, "high"))["spec"]["nodeName"]
    left = {found["metadata"]["name"]: found["spec"]["nodeName"] for found in await running.items(POD)}
    assert len(left) == 2
    assert left["high"] == node
    assert node not in [where for name, where in left.items() if name != "high"]


async def test_a_promise_falls_with_the_node(running: World) -> None:
    await running.add_nodes(1, cpu="1")
    running.kubelet.ends = False
    await running.client.create(POD, pod("low", "1"), "default")
    await placed(running, "low")
    await running.client.create(POD, pod("high", "1", "urgent"), "default")

    async def nominated() -> bool:
        found = await running.client.get(POD, "high", "default")
        return bool(found["status"].get("nominatedNodeName"))

    await running.until(nominated)
    await running.client.delete(NODE, "node-1")
    await running.add_node("node-2", cpu="1")
    assert (await placed(running, "high"))["spec"]["nodeName"] == "node-2"


async def test_policy_never_takes_nobodys_place(running: World) -> None:
    await running.add_nodes(1, cpu="1")
    await running.client.create(POD, pod("low", "1"), "default")
    await placed(running, "low")
    await running.client.create(POD, pod("polite", "1", "urgent", preemptionPolicy="Never"), "default")
    said = "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."

    async def waits() -> bool:
        return said in await running.messages("FailedScheduling")

    await running.until(waits)
    try:
        low = await running.client.get(POD, "low", "default")
    except NotFound:
        low = {"metadata": {"deletionTimestamp": "now"}}
    assert "deletionTimestamp" not in low["metadata"]
