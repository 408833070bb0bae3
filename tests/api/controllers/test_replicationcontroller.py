"""ReplicationControllers on a real API."""

from __future__ import annotations

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import POD, REPLICATION_CONTROLLER
from controlplane.api.types import Object
from controlplane.controllers.replicationcontroller import ReplicationControllerManager
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, template


def controller(name: str, replicas: int) -> Object:
    return {"metadata": {"name": name}, "spec": {"replicas": replicas, "template": template(name)}}


@pytest.fixture
async def running(world: World) -> World:
    await world.add_nodes(2)
    world.run(ReplicationControllerManager(world.client, world.informers))
    world.run(Scheduler(world.client, world.informers), world.kubelet)
    return world


async def settled(world: World, name: str, replicas: int) -> Object:
    async def observe() -> Object:
        rc = await world.client.get(REPLICATION_CONTROLLER, name, "default")
        status = rc.get("status", {})
        assert (status.get("readyReplicas", 0), status.get("replicas", 0)) == (replicas, replicas), status
        return rc

    return await world.until(observe)


async def test_selector_and_labels_come_from_the_template_and_pods_follow_the_size(running: World) -> None:
    made = await running.client.create(REPLICATION_CONTROLLER, controller("web", 3), "default")
    assert made["spec"]["selector"] == {"app": "web"}
    assert made["metadata"]["labels"] == {"app": "web"}
    rc = await settled(running, "web", 3)
    assert rc["status"] == {
        "replicas": 3,
        "fullyLabeledReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "observedGeneration": 1,
    }
    owner = (await running.items(POD, "default"))[0]["metadata"]["ownerReferences"][0]
    assert (owner["apiVersion"], owner["kind"], owner["name"]) == ("v1", "ReplicationController", "web")
    scale = await running.client.patch(
        REPLICATION_CONTROLLER, "web", "default", body={"spec": {"replicas": 1}}, subresource="scale"
    )
    assert scale["status"]["selector"] == "app=web"
    await settled(running, "web", 1)
    assert len(await running.messages("SuccessfulDelete")) == 2


async def test_a_pod_that_goes_is_replaced(running: World) -> None:
    await running.client.create(REPLICATION_CONTROLLER, controller("web", 1), "default")
    await settled(running, "web", 1)
    victim = (await running.items(POD, "default"))[0]["metadata"]["name"]
    await running.client.delete(POD, victim, "default")

    async def replaced() -> bool:
        names = [pod["metadata"]["name"] for pod in await running.items(POD, "default")]
        return len(names) == 1 and names != [victim]

    await running.until(replaced)


async def test_what_is_wrong_is_said(world: World) -> None:
    body = {"metadata": {"name": "web"}, "spec": {"replicas": -1, "selector": {"app": "other"}}}
    with pytest.raises(Invalid) as refused:
        await world.client.create(REPLICATION_CONTROLLER, body, "default")
    assert "spec.replicas: Invalid value: -1: must be greater than or equal to 0" in refused.value.message
    assert "spec.template: Required value" in refused.value.message
    body["spec"] = {"selector": {"app": "other"}, "template": template("web")}
    with pytest.raises(Invalid, match="`selector` does not match template `labels`"):
        await world.client.create(REPLICATION_CONTROLLER, body, "default")
