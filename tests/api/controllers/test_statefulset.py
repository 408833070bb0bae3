"""The StatefulSet controller on a real API."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import CONTROLLER_REVISION, POD, STATEFUL_SET
from controlplane.api.types import Object
from controlplane.controllers.statefulset import StatefulSetController
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, template


def stateful_set(replicas: int, image: str = "web:1", **spec: Any) -> Object:
    selector = {"matchLabels": {"app": "web"}}
    fixed = {"replicas": replicas, "selector": selector, "serviceName": "peers", "template": template("web", image)}
    return {"metadata": {"name": "web"}, "spec": fixed | spec}


@pytest.fixture
async def running(world: World) -> World:
    await world.add_nodes(2)
    world.run(StatefulSetController(world.client, world.informers))
    world.run(Scheduler(world.client, world.informers), world.kubelet)
    return world


async def make(world: World, *arguments: Any, **spec: Any) -> Object:
    return await world.client.create(STATEFUL_SET, stateful_set(*arguments, **spec), "default")


async def images(world: World) -> dict[str, str]:
    """The image of each pod, by its name."""
    pods = await world.items(POD, "default")
    return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in pods}


async def settled(world: World, **wanted: str) -> Object:
    """The set once its pods are exactly these, of these images, and ready."""
    expected = {f"web-{name.removeprefix('n')}": image for name, image in wanted.items()}

    async def observe() -> Object:
        sts = await world.client.get(STATEFUL_SET, "web", "default")
        status = sts["status"]
        assert status.get("observedGeneration") == sts["metadata"]["generation"], status
        assert (status.get("availableReplicas", 0), status["replicas"]) == (len(expected), len(expected)), status
        assert await images(world) == expected
        return sts

    return await world.until(observe)


async def change(world: World, **spec: Any) -> None:
    await world.client.patch(STATEFUL_SET, "web", "default", body={"spec": spec})


async def set_image(world: World, image: str) -> None:
    body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
    await world.client.patch(STATEFUL_SET, "web", "default", body=body, patch_type="strategic")


def follow(world: World) -> list[str]:
    """A list that grows with each pod that comes ("+name") or goes ("-name")."""
    seen: list[str] = []

    def changed(old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None
        if old is None or new is None:
            seen.append(("+" if old is None else "-") + pod["metadata"]["name"])

    world.informers.of(POD).add_handler(changed)
    return seen


async def test_pods_come_in_order_with_names_that_last(running: World) -> None:
    seen = follow(running)
    running.kubelet.broken = lambda pod: pod["metadata"]["name"] == "web-1"
    await make(running, 3)

    async def waits_for_the_second() -> bool:
        status = (await running.client.get(STATEFUL_SET, "web", "default"))["status"]
        return (status["replicas"], status.get("readyReplicas")) == (2, 1)

    await running.until(waits_for_the_second)
    assert set(await images(running)) == {"web-0", "web-1"}
    ready = [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    await running.client.patch(POD, "web-1", "default", body={"status": {"conditions": ready}}, subresource="status")
    sts = await settled(running, n0="web:1", n1="web:1", n2="web:1")
    assert seen == ["+web-0", "+web-1", "+web-2"]
    (revision,) = await running.items(CONTROLLER_REVISION, "default")
    name = revision["metadata"]["name"]
    assert sts["status"] == {
        "replicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "currentReplicas": 3,
        "updatedReplicas": 3,
        "currentRevision": name,
        "updateRevision": name,
        "collisionCount": 0,
        "observedGeneration": 1,
    }
    pod = await running.client.get(POD, "web-1", "default")
    assert pod["metadata"]["labels"] == {
        "app": "web",
        "apps.kubernetes.io/pod-index": "1",
        "statefulset.kubernetes.io/pod-name": "web-1",
        "controller-revision-hash": name,
    }
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-1", "peers")

    async def told() -> bool:
        wanted = [f"create Pod web-{n} in StatefulSet web successful" for n in range(3)]
        return await running.messages("SuccessfulCreate") == wanted

    await running.until(told)


async def test_the_highest_go_first_and_a_deleted_one_comes_back(running: World) -> None:
    await make(running, 3)
    await settled(running, n0="web:1", n1="web:1", n2="web:1")
    seen = follow(running)
    del seen[:]
    await running.client.delete(POD, "web-1", "default")

    async def is_back() -> bool:
        return seen == ["-web-1", "+web-1"]

    await running.until(is_back)
    await settled(running, n0="web:1", n1="web:1", n2="web:1")
    await change(running, replicas=1)
    await settled(running, n0="web:1")
    assert seen[2:] == ["-web-2", "-web-1"]


async def test_an_update_goes_from_the_last_to_the_first_and_down_to_the_partition(running: World) -> None:
    await make(running, 3, updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 2}})
    await settled(running, n0="web:1", n1="web:1", n2="web:1")
    await set_image(running, "web:2")
    await settled(running, n0="web:1", n1="web:1", n2="web:2")

    async def counted() -> bool:
        status = (await running.client.get(STATEFUL_SET, "web", "default"))["status"]
        assert status["currentRevision"] != status["updateRevision"]
        return (status.get("currentReplicas"), status.get("updatedReplicas")) == (2, 1)

    await running.until(counted)
    seen = follow(running)
    del seen[:]
    await running.client.delete(POD, "web-0", "default")

    async def is_back() -> bool:
        return seen == ["-web-0", "+web-0"]

    await running.until(is_back)
    await settled(running, n0="web:1", n1="web:1", n2="web:2")
    del seen[:]
    await change(running, updateStrategy={"rollingUpdate": {"partition": 0}})
    await settled(running, n0="web:2", n1="web:2", n2="web:2")
    assert seen == ["-web-1", "+web-1", "-web-0", "+web-0"]

    async def complete() -> bool:
        status = (await running.client.get(STATEFUL_SET, "web", "default"))["status"]
        return bool(status["currentRevision"] == status["updateRevision"] and status["currentReplicas"] == 3)

    await running.until(complete)


async def test_parallel_waits_for_nobody(running: World) -> None:
    running.kubelet.broken = lambda pod: True
    await make(running, 3, podManagementPolicy="Parallel")

    async def all_there() -> bool:
        return set(await images(running)) == {"web-0", "web-1", "web-2"}

    await running.until(all_there)
    await change(running, replicas=0)
    await settled(running)


async def test_on_delete_waits_for_the_user(running: World) -> None:
    await make(running, 2, updateStrategy={"type": "OnDelete"})
    await settled(running, n0="web:1", n1="web:1")
    await set_image(running, "web:2")
    await settled(running, n0="web:1", n1="web:1")
    await running.client.delete(POD, "web-0", "default")
    await settled(running, n0="web:2", n1="web:1")


async def test_ordinals_may_start_elsewhere_and_ended_pods_are_replaced(running: World) -> None:
    await make(running, 2, ordinals={"start": 5})
    await settled(running, n5="web:1", n6="web:1")
    before = await running.client.get(POD, "web-5", "default")
    await running.client.patch(POD, "web-5", "default", body={"status": {"phase": "Failed"}}, subresource="status")

    async def replaced() -> bool:
        pod = await running.client.get(POD, "web-5", "default")
        return bool(pod["metadata"]["uid"] != before["metadata"]["uid"])

    await running.until(replaced)
    await settled(running, n5="web:1", n6="web:1")


async def test_only_pods_with_a_name_of_the_set_are_adopted(running: World) -> None:
    for name in ("web-0", "web-a", "other-0"):
        pod = {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": template("web")["spec"]}
        await running.client.create(POD, pod, "default")
    await make(running, 1, updateStrategy={"type": "OnDelete"})

    async def adopted() -> bool:
        owned = [pod for pod in await running.items(POD, "default") if "ownerReferences" in pod["metadata"]]
        named = [pod["metadata"]["labels"].get("statefulset.kubernetes.io/pod-name") for pod in owned]
        return named == [pod["metadata"]["name"] for pod in owned] == ["web-0"]

    await running.until(adopted)


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (
            {"volumeClaimTemplates": [{"metadata": {"name": "data"}}]},
            "spec.volumeClaimTemplates[0].spec.accessModes: Required value",
        ),
        ({"podManagementPolicy": "Wild"}, "must be 'OrderedReady' or 'Parallel'"),
        (
            {"updateStrategy": {"type": "OnDelete", "rollingUpdate": {}}},
            "only allowed for updateStrategy 'RollingUpdate'",
        ),
        ({"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}}, "maxUnavailable: Invalid value: 0: cannot be 0"),
        ({"selector": {}}, "empty selector is invalid for statefulset"),
    ],
)
async def test_what_is_wrong_is_said(world: World, spec: dict[str, Any], text: str) -> None:
    with pytest.raises(Invalid) as refused:
        await make(world, 1, **spec)
    assert text in refused.value.message


async def test_most_of_the_spec_never_changes(world: World) -> None:
    await make(world, 1)
    with pytest.raises(Invalid, match="updates to statefulset spec for fields other than 'replicas', 'ordinals'"):
        await change(world, serviceName="other")
