"""Silent nodes, evictions, pods of nodes that are gone, and old events, on a real API and a clock of the test's own."""

from __future__ import annotations

import time
from typing import Any

from controlplane.api.errors import NotFound
from controlplane.api.kinds import EVENT, LEASE, NODE, POD
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.client.recorder import EventRecorder
from controlplane.controllers.event_expiry import EventExpiry
from controlplane.controllers.node_lifecycle import NodeLifecycleController
from controlplane.controllers.pod_gc import PodGarbageCollector
from controlplane.controllers.taint_eviction import TaintEvictionController
from tests.api.controllers.conftest import World, pod_spec


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


async def renew(world: World, node: str, count: int) -> None:
    lease = {
        "metadata": {"name": node},
        "spec": {"holderIdentity": node, "renewTime": f"2026-01-01T00:00:{count:02}.000000Z"},
    }
    try:
        await world.client.patch(LEASE, node, "kube-node-lease", body={"spec": lease["spec"]})
    except NotFound:
        await world.client.create(LEASE, lease, "kube-node-lease")


async def bound_pod(world: World, name: str, node: str, **spec: Any) -> Object:
    await world.client.create(POD, {"metadata": {"name": name}, "spec": pod_spec(nodeName=node, **spec)}, "default")
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": timestamp()}],
    }
    return await world.client.patch(POD, name, "default", body={"status": status}, subresource="status")


def taints(node: Object) -> set[tuple[str, str]]:
    return {(taint["key"], taint["effect"]) for taint in node["spec"].get("taints", [])}


UNREACHABLE = {
    ("node.kubernetes.io/unreachable", "NoSchedule"),
    ("node.kubernetes.io/unreachable", "NoExecute"),
}


async def test_a_silent_node_is_unknown_tainted_and_its_pods_are_not_ready(world: World) -> None:
    clock = Clock()
    await world.add_nodes(2)
    await bound_pod(world, "web", "node-1")
    for node in ("node-1", "node-2"):
        await renew(world, node, 0)
    controller = NodeLifecycleController(world.client, world.informers, grace_seconds=0.3, elapsed=clock)
    world.run(controller)

    async def registered() -> bool:
        return len(await world.messages("RegisteredNode")) == 2

    await world.until(registered)
    clock.now += 0.2
    await renew(world, "node-2", 1)
    clock.now += 0.2

    async def unknown() -> bool:
        node = await world.client.get(NODE, "node-1")
        ready = next(entry for entry in node["status"]["conditions"] if entry["type"] == "Ready")
        assert (ready["status"], ready["reason"]) == ("Unknown", "NodeStatusUnknown")
        assert ready["message"] == "Kubelet stopped posting node status."
        assert taints(node) == UNREACHABLE
        pod = await world.client.get(POD, "web", "default")
        return pod["status"]["conditions"][0]["status"] == "False"

    await world.until(unknown)
    assert not taints(await world.client.get(NODE, "node-2"))
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": timestamp()}
    await world.client.patch(NODE, "node-1", body={"status": {"conditions": [ready]}}, subresource="status")

    async def back() -> bool:
        return not taints(await world.client.get(NODE, "node-1"))

    await world.until(back)


async def test_cordon_is_a_taint_and_others_taints_are_kept(world: World) -> None:
    await world.add_nodes(1)
    own = {"key": "example.com/mine", "effect": "NoSchedule"}
    await world.client.patch(NODE, "node-1", body={"spec": {"unschedulable": True, "taints": [own]}})
    world.run(NodeLifecycleController(world.client, world.informers))

    async def tainted() -> bool:
        node = await world.client.get(NODE, "node-1")
        return taints(node) == {
            ("example.com/mine", "NoSchedule"),
            ("node.kubernetes.io/unschedulable", "NoSchedule"),
        }

    await world.until(tainted)
    await world.client.patch(NODE, "node-1", body={"spec": {"unschedulable": None}})

    async def untainted() -> bool:
        return taints(await world.client.get(NODE, "node-1")) == {("example.com/mine", "NoSchedule")}

    await world.until(untainted)


async def test_eviction_by_toleration_seconds(world: World) -> None:
    await world.add_nodes(1)
    tolerate = {"key": "example.com/fire", "operator": "Exists", "effect": "NoExecute"}
    await bound_pod(world, "now", "node-1", tolerations=[])
    await bound_pod(world, "soon", "node-1", tolerations=[{**tolerate, "tolerationSeconds": 1}])
    await bound_pod(world, "never", "node-1", tolerations=[tolerate])
    world.run(TaintEvictionController(world.client, world.informers), world.kubelet)
    taint = {"key": "example.com/fire", "effect": "NoExecute", "timeAdded": timestamp()}
    await world.client.patch(NODE, "node-1", body={"spec": {"taints": [taint]}})

    async def left() -> set[str]:
        return {pod["metadata"]["name"] for pod in await world.items(POD)}

    async def one_left() -> bool:
        assert await left() == {"never"}
        return True

    assert await world.until(one_left)

    async def told() -> bool:
        return "Marking for deletion Pod default/soon" in await world.messages("TaintManagerEviction")

    await world.until(told)


async def test_pods_of_a_node_that_is_gone_are_removed_after_quarantine(world: World) -> None:
    clock = Clock()
    await world.add_nodes(2)
    await bound_pod(world, "lost", "node-1")
    await bound_pod(world, "kept", "node-2")
    collector = PodGarbageCollector(world.client, world.informers, quarantine=40, clock=clock)
    await world.informers.wait_synced()
    await world.client.delete(NODE, "node-1")

    async def seen() -> bool:
        return world.informers.of(NODE).get("node-1") is None

    await world.until(seen)
    await collector.collect()
    assert len(await world.items(POD)) == 2
    clock.now += 41
    await collector.collect()
    assert [pod["metadata"]["name"] for pod in await world.items(POD)] == ["kept"]


async def test_events_expire(world: World) -> None:
    clock = Clock()
    (node,) = await world.add_nodes(1)
    recorder = EventRecorder(world.client, "test")
    expiry = EventExpiry(world.client, ttl_seconds=3600, clock=clock)
    world.run(recorder, expiry)
    recorder.event(node, "Normal", "Old", "old")

    async def stored() -> bool:
        return len(await world.items(EVENT)) == 1

    await world.until(stored)
    clock.now += 3000
    recorder.event(node, "Normal", "New", "new")

    async def both() -> bool:
        return len(await world.items(EVENT)) == 2

    await world.until(both)
    clock.now += 700

    async def expired() -> bool:
        await expiry.expire()
        return await world.messages("New") == ["new"] and not await world.messages("Old")

    await world.until(expired)
