"""The Deployment controller on a real API, with ReplicaSets, scheduler and pods that become ready."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controlplane.api.kinds import DEPLOYMENT, POD, REPLICA_SET
from controlplane.api.types import Object
from controlplane.controllers.deployment import DeploymentController
from controlplane.controllers.replicaset import ReplicaSetController
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, deployment


@pytest.fixture
async def running(world: World) -> World:
    await world.add_nodes(3)
    world.run(
        DeploymentController(world.client, world.informers),
        ReplicaSetController(world.client, world.informers),
        Scheduler(world.client, world.informers),
        world.kubelet,
    )
    return world


async def settled(world: World, name: str, **expected: Any) -> Object:
    """The Deployment once its status has the expected counts."""

    async def observe() -> Object:
        found = await world.client.get(DEPLOYMENT, name, "default")
        status = found.get("status", {})
        assert {field: status.get(field, 0) for field in expected} == expected, status
        return found

    return await world.until(observe)


async def rolled_out(world: World, name: str, replicas: int, revision: int) -> Object:
    async def observe() -> Object:
        found = await world.client.get(DEPLOYMENT, name, "default")
        status = found.get("status", {})
        assert progressing(found).get("reason") == "NewReplicaSetAvailable", status
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == str(revision)
        counts = [status.get(f, 0) for f in ("replicas", "updatedReplicas", "availableReplicas")]
        assert counts == [replicas] * 3, status
        return found

    return await world.until(observe)


def progressing(found: Object) -> dict[str, Any]:
    conditions = found.get("status", {}).get("conditions", [])
    return next((entry for entry in conditions if entry["type"] == "Progressing"), {})


async def sets(world: World) -> dict[str, int]:
    """Sizes of the ReplicaSets by the image of their template."""
    found = await world.items(REPLICA_SET, "default")
    return {rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs["spec"]["replicas"] for rs in found}


async def told(world: World, *messages: str) -> None:
    async def observe() -> bool:
        seen = await world.messages("ScalingReplicaSet")
        assert [message for message in messages if message not in seen] == [], seen
        return True

    await world.until(observe)


async def test_first_rollout(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 3), "default")
    found = await rolled_out(running, "web", 3, 1)
    (rs,) = await running.items(REPLICA_SET, "default")
    name = rs["metadata"]["name"]
    digest = rs["metadata"]["labels"]["pod-template-hash"]
    assert name == f"web-{digest}"
    assert rs["spec"]["selector"]["matchLabels"] == {"app": "web", "pod-template-hash": digest}
    assert rs["metadata"]["annotations"] == {
        "deployment.kubernetes.io/desired-replicas": "3",
        "deployment.kubernetes.io/max-replicas": "4",
        "deployment.kubernetes.io/revision": "1",
    }
    assert rs["metadata"]["ownerReferences"][0]["uid"] == found["metadata"]["uid"]
    conditions = {entry["type"]: (entry["status"], entry["reason"]) for entry in found["status"]["conditions"]}
    assert conditions == {
        "Available": ("True", "MinimumReplicasAvailable"),
        "Progressing": ("True", "NewReplicaSetAvailable"),
    }
    assert progressing(found)["message"] == f'ReplicaSet "{name}" has successfully progressed.'
    await told(running, f"Scaled up replica set {name} from 0 to 3")


async def test_a_new_image_rolls_without_going_below_or_above(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 4), "default")
    await rolled_out(running, "web", 4, 1)
    ready_counts, pod_counts = watch_counts(running)
    await running.set_image("web", "web:2")
    await rolled_out(running, "web", 4, 2)
    assert await sets(running) == {"web:1": 0, "web:2": 4}
    assert min(ready_counts) >= 3
    assert max(pod_counts) <= 5


def watch_counts(world: World) -> tuple[list[int], list[int]]:
    """Counts of ready and of live pods after every change of one."""
    pods = world.informers.of(POD)
    ready_counts: list[int] = []
    pod_counts: list[int] = []

    def count(old: Object | None, new: Object | None) -> None:
        live = [pod for pod in pods.list("default") if "deletionTimestamp" not in pod["metadata"]]
        pod_counts.append(len(live))
        ready_counts.append(sum(1 for pod in live if is_ready(pod)))

    pods.add_handler(count)
    return ready_counts, pod_counts


def is_ready(pod: Object) -> bool:
    conditions = pod.get("status", {}).get("conditions", [])
    return any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)


async def test_undo_returns_to_the_old_replica_set_under_a_new_revision(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 2), "default")
    await rolled_out(running, "web", 2, 1)
    await running.set_image("web", "web:2")
    await rolled_out(running, "web", 2, 2)
    # What `kubectl rollout undo` does: put the old template back.
    await running.set_image("web", "web:1")
    await rolled_out(running, "web", 2, 3)
    assert await sets(running) == {"web:1": 2, "web:2": 0}
    old = next(rs for rs in await running.items(REPLICA_SET, "default") if rs["spec"]["replicas"])
    annotations = old["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "3"
    assert annotations["deployment.kubernetes.io/revision-history"] == "1"


async def test_scaling_keeps_the_revision_and_tells(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 1), "default")
    await rolled_out(running, "web", 1, 1)
    await running.set_replicas("web", 3)
    await rolled_out(running, "web", 3, 1)
    (rs,) = await running.items(REPLICA_SET, "default")
    await running.set_replicas("web", 0)
    await settled(running, "web", replicas=0, availableReplicas=0)
    name = rs["metadata"]["name"]
    await told(running, f"Scaled up replica set {name} from 1 to 3", f"Scaled down replica set {name} from 3 to 0")


async def test_recreate_ends_all_old_pods_before_the_first_new_one(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 2, strategy={"type": "Recreate"}), "default")
    await rolled_out(running, "web", 2, 1)
    mixed = []
    pods = running.informers.of(POD)

    def look(old: Object | None, new: Object | None) -> None:
        mixed.append({pod["spec"]["containers"][0]["image"] for pod in pods.list("default")})

    pods.add_handler(look)
    await running.set_image("web", "web:2")
    await rolled_out(running, "web", 2, 2)
    assert {"web:1", "web:2"} not in mixed


async def test_paused_changes_wait_for_resume(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 1), "default")
    await rolled_out(running, "web", 1, 1)
    await running.client.patch(DEPLOYMENT, "web", "default", body={"spec": {"paused": True}})
    await running.set_image("web", "web:2")

    async def paused() -> bool:
        return progressing(await running.client.get(DEPLOYMENT, "web", "default")).get("reason") == "DeploymentPaused"

    await running.until(paused)
    await asyncio.sleep(0.1)
    assert await sets(running) == {"web:1": 1}
    await running.client.patch(DEPLOYMENT, "web", "default", body={"spec": {"paused": False}})
    await rolled_out(running, "web", 1, 2)
    assert await sets(running) == {"web:1": 0, "web:2": 1}


async def test_history_is_kept_to_its_limit(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 1, revisionHistoryLimit=1), "default")
    await rolled_out(running, "web", 1, 1)
    for revision in (2, 3):
        await running.set_image("web", f"web:{revision}")
        await rolled_out(running, "web", 1, revision)

    async def observe() -> bool:
        assert await sets(running) == {"web:2": 0, "web:3": 1}
        return True

    await running.until(observe)


async def test_a_rollout_that_stands_still_times_out(running: World) -> None:
    running.kubelet.broken = lambda pod: True
    await running.client.create(DEPLOYMENT, deployment("web", 1, progressDeadlineSeconds=1), "default")

    async def timed_out() -> Object | None:
        found = await running.client.get(DEPLOYMENT, "web", "default")
        return found if progressing(found).get("reason") == "ProgressDeadlineExceeded" else None

    found = await running.until(timed_out)
    (rs,) = await running.items(REPLICA_SET, "default")
    assert progressing(found)["status"] == "False"
    assert progressing(found)["message"] == f'ReplicaSet "{rs["metadata"]["name"]}" has timed out progressing.'


async def test_a_name_taken_by_another_replica_set_is_a_collision(running: World) -> None:
    await running.client.create(DEPLOYMENT, deployment("web", 1), "default")
    await rolled_out(running, "web", 1, 1)
    (rs,) = await running.items(REPLICA_SET, "default")
    await running.client.delete(DEPLOYMENT, "web", "default")
    squatter = deployment("other", 0)
    squatter["metadata"]["name"] = rs["metadata"]["name"]
    await running.client.delete(REPLICA_SET, rs["metadata"]["name"], "default")
    await running.client.create(REPLICA_SET, squatter, "default")
    await running.client.create(DEPLOYMENT, deployment("web", 1), "default")
    found = await rolled_out(running, "web", 1, 1)
    assert found["status"]["collisionCount"] == 1


async def test_scaling_amid_a_rollout_is_shared_in_proportion(running: World) -> None:
    # The example in upstream's documentation of proportional scaling.
    strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 3, "maxUnavailable": 2}}
    await running.client.create(DEPLOYMENT, deployment("web", 10, strategy=strategy), "default")
    await rolled_out(running, "web", 10, 1)
    running.kubelet.broken = lambda pod: pod["spec"]["containers"][0]["image"] == "web:2"
    await running.set_image("web", "web:2")

    async def stuck() -> bool:
        assert await sets(running) == {"web:1": 8, "web:2": 5}
        return True

    await running.until(stuck)
    await running.set_replicas("web", 15)

    async def proportional() -> bool:
        assert await sets(running) == {"web:1": 11, "web:2": 7}
        return True

    await running.until(proportional)
