"""The DaemonSet controller on a real API, with the scheduler that places its pods."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import CONTROLLER_REVISION, DAEMON_SET, NODE, POD
from controlplane.api.types import Object
from controlplane.controllers.daemonset import DaemonSetController
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, template


def daemon_set(name: str, image: str = "web:1", **spec: Any) -> Object:
    selector = {"matchLabels": {"app": name}}
    return {"metadata": {"name": name}, "spec": {"selector": selector, "template": template(name, image), **spec}}


@pytest.fixture
async def running(world: World) -> World:
    await world.add_nodes(3)
    world.run(DaemonSetController(world.client, world.informers))
    world.run(Scheduler(world.client, world.informers), world.kubelet)
    return world


async def settled(world: World, name: str, count: int) -> Object:
    """The DaemonSet once all its pods are up to date and available."""

    async def observe() -> Object:
        ds = await world.client.get(DAEMON_SET, name, "default")
        status = ds["status"]
        assert status.get("observedGeneration") == ds["metadata"]["generation"], status
        fields = ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable")
        assert [status.get(field, 0) for field in fields] == [count] * 3, status
        return ds

    return await world.until(observe)


async def set_image(world: World, name: str, image: str) -> None:
    body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    await world.client.patch(DAEMON_SET, name, "default", body=body, patch_type="strategic")


async def images(world: World) -> list[str]:
    """The images of the pods that are not on their way out."""
    pods = await world.items(POD, "default")
    return sorted(pod["spec"]["containers"][0]["image"] for pod in pods if "deletionTimestamp" not in pod["metadata"])


async def test_one_pod_on_every_node_and_on_nodes_that_come(running: World) -> None:
    await running.client.create(DAEMON_SET, daemon_set("agent"), "default")
    ds = await settled(running, "agent", 3)
    assert ds["status"] == {
        "currentNumberScheduled": 3,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 3,
        "numberReady": 3,
        "observedGeneration": 1,
        "updatedNumberScheduled": 3,
        "numberAvailable": 3,
    }
    pod = (await running.items(POD, "default"))[0]
    (term,) = pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term["matchFields"] == [{"key": "metadata.name", "operator": "In", "values": [pod["spec"]["nodeName"]]}]
    tolerated = {(one["key"].removeprefix("node.kubernetes.io/"), one["effect"]) for one in pod["spec"]["tolerations"]}
    assert ("unschedulable", "NoSchedule") in tolerated
    assert ("not-ready", "NoExecute") in tolerated
    assert pod["metadata"]["labels"]["pod-template-generation"] == "1"
    await running.add_node("node-4")
    await settled(running, "agent", 4)

    async def told() -> bool:
        return len(await running.messages("SuccessfulCreate")) == 4

    await running.until(told)


async def test_node_selector_and_taints_decide(running: World) -> None:
    body = daemon_set("agent")
    body["spec"]["template"]["spec"]["nodeSelector"] = {"disk": "ssd"}
    await running.client.create(DAEMON_SET, body, "default")
    await settled(running, "agent", 0)
    await running.client.patch(NODE, "node-2", body={"metadata": {"labels": {"disk": "ssd"}}})
    await settled(running, "agent", 1)
    assert [pod["spec"]["nodeName"] for pod in await running.items(POD, "default")] == ["node-2"]
    taint = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}
    await running.client.patch(NODE, "node-2", body={"spec": {"taints": [taint]}})

    async def misscheduled() -> bool:
        ds = await running.client.get(DAEMON_SET, "agent", "default")
        return (ds["status"]["numberMisscheduled"], ds["status"]["desiredNumberScheduled"]) == (1, 0)

    await running.until(misscheduled)
    assert await images(running) == ["web:1"]
    await running.client.patch(NODE, "node-2", body={"spec": {"taints": [taint | {"effect": "NoExecute"}]}})

    async def gone() -> bool:
        return not await running.items(POD, "default")

    await running.until(gone)


async def test_a_rolling_update_stops_at_pods_that_do_not_come_up(running: World) -> None:
    await running.client.create(DAEMON_SET, daemon_set("agent"), "default")
    await settled(running, "agent", 3)
    running.kubelet.broken = lambda pod: pod["spec"]["containers"][0]["image"] == "web:2"
    await set_image(running, "agent", "web:2")

    async def one_replaced() -> bool:
        ds = await running.client.get(DAEMON_SET, "agent", "default")
        return (ds["status"].get("updatedNumberScheduled"), ds["status"].get("numberUnavailable")) == (1, 1)

    await running.until(one_replaced)
    assert await images(running) == ["web:1", "web:1", "web:2"]
    running.kubelet.broken = lambda pod: False
    await set_image(running, "agent", "web:3")
    await settled(running, "agent", 3)
    assert await images(running) == ["web:3"] * 3


async def test_surge_keeps_every_node_served(running: World) -> None:
    strategy = {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await running.client.create(DAEMON_SET, daemon_set("agent", updateStrategy=strategy), "default")
    await settled(running, "agent", 3)
    fewest = 3
    served = {pod["metadata"]["name"] for pod in await running.items(POD, "default")}

    def watch(old: Object | None, new: Object | None) -> None:
        nonlocal fewest
        pod = new or old
        assert pod is not None
        ready = any(entry["status"] == "True" for entry in pod.get("status", {}).get("conditions", ()) if new)
        (served.add if ready and "deletionTimestamp" not in pod["metadata"] else served.discard)(
            pod["metadata"]["name"]
        )
        fewest = min(fewest, len(served))

    running.informers.of(POD).add_handler(watch)
    await set_image(running, "agent", "web:2")

    async def updated() -> bool:
        return await images(running) == ["web:2"] * 3

    await running.until(updated)
    assert fewest == 3


async def test_on_delete_waits_for_the_user(running: World) -> None:
    await running.client.create(DAEMON_SET, daemon_set("agent", updateStrategy={"type": "OnDelete"}), "default")
    await settled(running, "agent", 3)
    await set_image(running, "agent", "web:2")

    async def observed() -> bool:
        ds = await running.client.get(DAEMON_SET, "agent", "default")
        return ds["status"]["observedGeneration"] == 2 and not ds["status"].get("updatedNumberScheduled")

    await running.until(observed)
    victim = (await running.items(POD, "default"))[0]["metadata"]["name"]
    await running.client.delete(POD, victim, "default")

    async def replaced() -> bool:
        return await images(running) == ["web:1", "web:1", "web:2"]

    await running.until(replaced)


async def test_revisions_are_numbered_reused_and_trimmed(running: World) -> None:
    await running.client.create(DAEMON_SET, daemon_set("agent", revisionHistoryLimit=1), "default")
    await settled(running, "agent", 3)
    for image in ("web:2", "web:3", "web:2"):
        await set_image(running, "agent", image)
        await settled(running, "agent", 3)

    async def trimmed() -> list[Object]:
        revisions = sorted(await running.items(CONTROLLER_REVISION, "default"), key=lambda one: one["revision"])
        assert [one["revision"] for one in revisions] == [3, 4]
        return revisions

    revisions = await running.until(trimmed)
    shown = [one["data"]["spec"]["template"]["spec"]["containers"][0]["image"] for one in revisions]
    assert shown == ["web:3", "web:2"]
    await running.client.patch(DAEMON_SET, "agent", "default", body=revisions[0]["data"], patch_type="strategic")
    await settled(running, "agent", 3)
    assert await images(running) == ["web:3"] * 3


async def test_a_failed_pod_is_replaced_and_told(running: World) -> None:
    await running.client.create(DAEMON_SET, daemon_set("agent"), "default")
    await settled(running, "agent", 3)
    victim = (await running.items(POD, "default"))[0]["metadata"]["name"]
    await running.client.patch(POD, victim, "default", body={"status": {"phase": "Failed"}}, subresource="status")

    async def replaced() -> bool:
        names = {pod["metadata"]["name"] for pod in await running.items(POD, "default")}
        return victim not in names and len(names) == 3

    await running.until(replaced)

    async def told() -> bool:
        (message,) = await running.messages("FailedDaemonPod")
        return message.startswith(f"Found failed daemon pod default/{victim} on node node-")

    await running.until(told)


@pytest.mark.parametrize(
    ("rolling", "text"),
    [
        ({"maxSurge": 1, "maxUnavailable": 1}, "may not be set when maxUnavailable is non-zero"),
        ({"maxSurge": 0, "maxUnavailable": "0%"}, "Required value: cannot be 0 when maxSurge is 0"),
        ({"maxSurge": "101%", "maxUnavailable": 0}, "must not be greater than 100%"),
    ],
)
async def test_impossible_strategies_are_refused(world: World, rolling: dict[str, Any], text: str) -> None:
    body = daemon_set("agent", updateStrategy={"type": "RollingUpdate", "rollingUpdate": rolling})
    with pytest.raises(Invalid, match=text):
        await world.client.create(DAEMON_SET, body, "default")
