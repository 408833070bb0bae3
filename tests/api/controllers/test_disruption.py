"""PodDisruptionBudgets: what the controller counts, and which evictions those counts let through."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controlplane.api.errors import ApiError, Conflict, InternalError, TooManyRequests
from controlplane.api.kinds import DEPLOYMENT, POD, POD_DISRUPTION_BUDGET, REPLICA_SET
from controlplane.api.types import Object
from controlplane.controllers.deployment import DeploymentController
from controlplane.controllers.disruption import DisruptionController
from controlplane.controllers.replicaset import ReplicaSetController
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, deployment, template

WOULD_VIOLATE = "Cannot evict pod as it would violate the pod's disruption budget."


@pytest.fixture
async def running(world: World) -> World:
    controllers = (DeploymentController, ReplicaSetController, DisruptionController, Scheduler)
    world.run(*(one(world.client, world.informers) for one in controllers), world.kubelet)
    await world.add_nodes(2)
    return world


async def budget(world: World, name: str = "web", app: str = "web", **spec: Any) -> None:
    body = {"metadata": {"name": name}, "spec": {"selector": {"matchLabels": {"app": app}}, **spec}}
    await world.client.create(POD_DISRUPTION_BUDGET, body, "default")


async def counts(world: World, name: str = "web") -> tuple[int, int, int, int]:
    status = (await world.client.get(POD_DISRUPTION_BUDGET, name, "default")).get("status", {})
    names = ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
    return tuple(status.get(one, -1) for one in names)  # type: ignore[return-value]


async def until_counts(world: World, *wanted: int, name: str = "web") -> None:
    async def counted() -> bool:
        seen = await counts(world, name)
        assert seen == wanted
        return True

    await world.until(counted)


async def condition(world: World, name: str = "web") -> Object:
    status = (await world.client.get(POD_DISRUPTION_BUDGET, name, "default"))["status"]
    found: Object = status["conditions"][0]
    return found


async def evict(world: World, pod: str, **options: Any) -> None:
    body = {"metadata": {"name": pod}, "deleteOptions": options} if options else {"metadata": {"name": pod}}
    await world.client.create(POD, body, "default", subresource="eviction", name=pod)


async def pods(world: World) -> list[str]:
    return [pod["metadata"]["name"] for pod in await world.items(POD) if "deletionTimestamp" not in pod["metadata"]]


async def all_run(world: World) -> bool:
    return all(pod["status"].get("phase") == "Running" for pod in await world.items(POD))


@pytest.mark.parametrize(
    ("spec", "wanted"),
    [
        ({"minAvailable": 3}, (4, 3, 4, 1)),
        ({"minAvailable": "60%"}, (4, 3, 4, 1)),
        ({"maxUnavailable": 1}, (4, 3, 4, 1)),
        ({"maxUnavailable": "30%"}, (4, 2, 4, 2)),
        ({"minAvailable": 9}, (4, 9, 4, 0)),
        ({"maxUnavailable": "100%"}, (4, 0, 4, 4)),
    ],
)
async def test_counts(running: World, spec: dict[str, Any], wanted: tuple[int, ...]) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 4), "default")
    await budget(running, **spec)
    await until_counts(running, *wanted)
    said = await condition(running)
    assert (said["type"], said["status"], said["reason"]) == (
        "DisruptionAllowed",
        *(("True", "SufficientPods") if wanted[3] else ("False", "InsufficientPods")),
    )


async def test_evictions_are_counted(running: World) -> None:
    running.kubelet.ends = False
    await running.client.create(DEPLOYMENT, deployment("web", 3), "default")
    await budget(running, maxUnavailable=1)
    await until_counts(running, 3, 2, 3, 1)
    first, second, _ = await pods(running)
    await evict(running, second, dryRun=["All"])
    await until_counts(running, 3, 2, 3, 1)
    done, refused = await asyncio.gather(evict(running, first), evict(running, second), return_exceptions=True)
    assert done is None
    assert isinstance(refused, TooManyRequests)
    assert refused.message == WOULD_VIOLATE
    (cause,) = (refused.details or {})["causes"]
    assert cause["reason"] == "DisruptionBudget"
    gone = await running.client.get(POD, first, "default")
    (target,) = [one for one in gone["status"]["conditions"] if one["type"] == "DisruptionTarget"]
    assert (target["reason"], target["message"]) == ("EvictionByEvictionAPI", "Eviction API: evicting")
    await until_counts(running, 3, 2, 3, 1)  # its successor is ready
    await evict(running, second)


async def test_an_eviction_is_of_the_pod_that_was_meant(running: World) -> None:
    running.kubelet.ends = False
    await running.client.create(DEPLOYMENT, deployment("web", 3), "default")
    await budget(running, maxUnavailable=1)
    await until_counts(running, 3, 2, 3, 1)
    pod = await running.client.get(POD, (await pods(running))[0], "default")
    name, version = pod["metadata"]["name"], pod["metadata"]["resourceVersion"]
    for wrong in ({"uid": "another"}, {"resourceVersion": "1"}):
        with pytest.raises(Conflict):
            await evict(running, name, preconditions=wrong)
    assert await running.client.get(POD, name, "default") == pod
    assert await counts(running) == (3, 2, 3, 1)
    await evict(running, name, preconditions={"uid": pod["metadata"]["uid"], "resourceVersion": version})
    assert name not in await pods(running)


async def test_the_refusal_names_the_budget(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 2), "default")
    await budget(running, minAvailable=2)
    await until_counts(running, 2, 2, 2, 0)
    with pytest.raises(TooManyRequests) as caught:
        await evict(running, (await pods(running))[0])
    text = "The disruption budget web needs 2 healthy pods and has 2 currently"
    assert (caught.value.details or {})["causes"] == [{"reason": "DisruptionBudget", "message": text}]


async def test_a_budget_that_is_not_counted_yet_holds(world: World) -> None:
    world.run(DeploymentController(world.client, world.informers), ReplicaSetController(world.client, world.informers))
    world.run(Scheduler(world.client, world.informers), world.kubelet)
    await world.add_nodes(1)
    await world.client.create(DEPLOYMENT, deployment("web", 1), "default")

    async def ready() -> bool:
        return any(pod["status"].get("phase") == "Running" for pod in await world.items(POD))

    await world.until(ready)
    await budget(world, maxUnavailable=1)
    with pytest.raises(TooManyRequests) as caught:
        await evict(world, (await pods(world))[0])
    details = caught.value.details or {}
    assert details["causes"][0]["message"] == "The disruption budget web is still being processed by the server."
    assert details["retryAfterSeconds"] == 10


async def test_pods_that_are_not_ready_go_as_the_policy_says(running: World) -> None:
    running.kubelet.broken = lambda pod: True
    await running.client.create(DEPLOYMENT, deployment("web", 2), "default")
    await budget(running, minAvailable=1)
    await until_counts(running, 2, 1, 0, 0)
    await running.until(lambda: all_run(running))  # those that do not yet run are held by no budget
    name = (await pods(running))[0]
    with pytest.raises(TooManyRequests):
        await evict(running, name)
    body = {"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}}
    await running.client.patch(POD_DISRUPTION_BUDGET, "web", "default", body=body)
    await evict(running, name)


async def test_a_number_that_cannot_be_told_lets_nothing_go(running: World) -> None:
    owner = {"apiVersion": "x.io/v1", "kind": "Thing", "name": "t", "uid": "1", "controller": True}
    made = {**template("web"), "metadata": {"name": "lone", "labels": {"app": "web"}, "ownerReferences": [owner]}}
    await running.client.create(POD, made, "default")
    await budget(running, maxUnavailable=1)

    async def failed() -> bool:
        return (await condition(running))["reason"] == "SyncFailed"

    await running.until(failed)
    assert (await condition(running))["message"] == 'found no controllers for pod "lone"'
    text = 'Failed to calculate the number of expected pods: found no controllers for pod "lone"'

    async def told() -> bool:
        return text in await running.messages("CalculateExpectedPodCountFailed")

    await running.until(told)


async def test_a_lone_replica_set_counts_by_its_own_scale_and_two_budgets_are_an_error(running: World) -> None:
    body = deployment("web", 2)
    await running.client.create(REPLICA_SET, body, "default")
    await budget(running, maxUnavailable=1)
    await until_counts(running, 2, 1, 2, 1)
    await budget(running, "other", minAvailable=0)
    with pytest.raises(InternalError, match="This pod has more than one PodDisruptionBudget"):
        await evict(running, (await pods(running))[0])


async def test_without_a_budget_any_pod_goes(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 1), "default")

    async def one() -> list[str]:
        return await pods(running)

    (name,) = await running.until(one)
    with pytest.raises(ApiError, match="name in URL does not match name in Eviction object"):
        await running.client.create(POD, {"metadata": {"name": "x"}}, "default", subresource="eviction", name=name)
    await evict(running, name)
