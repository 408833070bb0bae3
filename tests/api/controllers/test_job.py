"""The Job controller on a real API; pods end when the test says so."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controlplane.api.errors import Invalid
from controlplane.api.kinds import JOB, POD
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.controllers.garbage import GarbageCollector
from controlplane.controllers.job import JobController
from controlplane.controllers.job_pods import INDEX, TRACKING
from controlplane.controllers.ttl_after_finished import TTLAfterFinished
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, pod_spec

FAST = 0.05


def job(name: str = "work", restart: str = "Never", **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"template": {"spec": pod_spec(restartPolicy=restart)}, **spec}}


@pytest.fixture
async def running(world: World) -> World:
    await world.add_nodes(2)
    world.run(JobController(world.client, world.informers, first_backoff=FAST))
    world.run(Scheduler(world.client, world.informers), world.kubelet)
    return world


async def make(world: World, body: Object) -> Object:
    return await world.client.create(JOB, body, "default")


async def active(world: World, count: int) -> list[Object]:
    """The running pods, once there are `count`."""

    async def observe() -> list[Object]:
        pods = [
            pod
            for pod in await world.items(POD, "default")
            if pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        ]
        job = await world.client.get(JOB, "work", "default")
        assert (len(pods), job["status"].get("active", 0)) == (count, count), job["status"]
        return pods or [{}]

    found = await world.until(observe)
    return found if count else []


async def end(world: World, pod: Object, phase: str, code: int = 0) -> None:
    terminated = {"exitCode": code, "finishedAt": timestamp()}
    containers = [{"name": "main", "image": "web:1", "imageID": "", "ready": False, "restartCount": 0}]
    status = {"phase": phase, "containerStatuses": [containers[0] | {"state": {"terminated": terminated}}]}
    name = pod["metadata"]["name"]
    await world.client.patch(POD, name, "default", body={"status": status}, subresource="status")


async def status_with(world: World, type_: str) -> dict[str, Any]:
    """The status once a condition of that type holds."""

    async def observe() -> dict[str, Any]:
        status: dict[str, Any] = (await world.client.get(JOB, "work", "default"))["status"]
        holding = {one["type"]: one for one in status.get("conditions", ()) if one["status"] == "True"}
        assert type_ in holding, status
        return status | {"reason": holding[type_]["reason"], "message": holding[type_]["message"]}

    return await world.until(observe)


async def test_defaults_and_the_selector_of_its_own(world: World) -> None:
    made = await make(world, job())
    spec, uid = made["spec"], made["metadata"]["uid"]
    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 6)
    assert (spec["completionMode"], spec["suspend"], spec["podReplacementPolicy"]) == (
        "NonIndexed",
        False,
        "TerminatingOrFailed",
    )
    assert spec["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    generated = {
        "batch.kubernetes.io/controller-uid": uid,
        "batch.kubernetes.io/job-name": "work",
        "controller-uid": uid,
        "job-name": "work",
    }
    assert spec["template"]["metadata"]["labels"] == made["metadata"]["labels"] == generated


async def test_completions_in_parallel(running: World) -> None:
    await make(running, job(completions=3, parallelism=2))
    for pod in await active(running, 2):
        assert TRACKING in pod["metadata"]["finalizers"]
        await end(running, pod, "Succeeded")
    (last,) = await active(running, 1)
    await end(running, last, "Succeeded")
    status = await status_with(running, "Complete")
    assert [one["type"] for one in status["conditions"]] == ["SuccessCriteriaMet", "Complete"]
    assert (status["reason"], status["message"]) == (
        "CompletionsReached",
        "Reached expected number of succeeded pods",
    )
    assert (status["succeeded"], status["ready"], status["terminating"]) == (3, 0, 0)
    assert "active" not in status
    assert status["uncountedTerminatedPods"] == {}
    assert status["completionTime"]
    assert not any("finalizers" in pod["metadata"] for pod in await running.items(POD, "default"))

    async def told() -> bool:
        return await running.messages("Completed") == ["Job completed"]

    await running.until(told)


async def test_failures_are_retried_until_the_limit(running: World) -> None:
    await make(running, job(backoffLimit=1))
    (first,) = await active(running, 1)
    await end(running, first, "Failed", 1)
    (second,) = await active(running, 1)
    assert second["metadata"]["name"] != first["metadata"]["name"]
    await end(running, second, "Failed", 1)
    status = await status_with(running, "Failed")
    assert (status["reason"], status["message"]) == (
        "BackoffLimitExceeded",
        "Job has reached the specified backoff limit",
    )
    assert status["failed"] == 2
    assert [one["type"] for one in status["conditions"]] == ["FailureTarget", "Failed"]
    assert "completionTime" not in status

    async def told() -> bool:
        return await running.messages("BackoffLimitExceeded") == ["Job has reached the specified backoff limit"]

    await running.until(told)


async def test_each_index_succeeds_once(running: World) -> None:
    await make(running, job(completions=3, parallelism=3, completionMode="Indexed"))
    pods = {pod["metadata"]["annotations"][INDEX]: pod for pod in await active(running, 3)}
    assert set(pods) == {"0", "1", "2"}
    pod = pods["1"]
    assert pod["metadata"]["name"].startswith("work-1-")
    assert pod["metadata"]["labels"][INDEX] == "1"
    assert pod["spec"]["hostname"] == "work-1"
    assert pod["spec"]["containers"][0]["env"][0]["name"] == "JOB_COMPLETION_INDEX"
    await end(running, pods["0"], "Succeeded")
    await end(running, pods["1"], "Failed", 1)
    (again,) = [pod for pod in await active(running, 2) if pod["metadata"]["annotations"][INDEX] == "1"]
    await end(running, again, "Succeeded")
    await end(running, pods["2"], "Succeeded")
    status = await status_with(running, "Complete")
    assert (status["completedIndexes"], status["succeeded"], status["failed"]) == ("0-2", 3, 1)


async def test_a_work_queue_is_done_when_its_workers_are(running: World) -> None:
    await make(running, job(parallelism=2))
    first, second = await active(running, 2)
    await end(running, first, "Succeeded")
    await active(running, 1)
    await end(running, second, "Succeeded")
    assert (await status_with(running, "Complete"))["succeeded"] == 2


async def test_the_deadline_ends_what_runs(running: World) -> None:
    await make(running, job(activeDeadlineSeconds=1))
    await active(running, 1)
    status = await status_with(running, "Failed")
    assert (status["reason"], status["message"]) == (
        "DeadlineExceeded",
        "Job was active longer than specified deadline",
    )
    assert status["failed"] == 1

    async def gone() -> bool:
        return not await running.items(POD, "default")

    await running.until(gone)


async def test_suspend_and_resume(running: World) -> None:
    await make(running, job(suspend=True))
    suspended = await status_with(running, "Suspended")
    assert suspended["reason"] == "JobSuspended"
    assert "startTime" not in suspended
    assert not await running.items(POD, "default")
    await running.client.patch(JOB, "work", "default", body={"spec": {"suspend": False}})
    await active(running, 1)
    await running.client.patch(JOB, "work", "default", body={"spec": {"suspend": True}})
    assert not await active(running, 0)
    await running.client.patch(JOB, "work", "default", body={"spec": {"suspend": False}})
    (pod,) = await active(running, 1)
    await end(running, pod, "Succeeded")
    status = await status_with(running, "Complete")
    assert "failed" not in status


async def test_rules_for_failures(running: World) -> None:
    rules = [
        {"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}},
        {"action": "FailJob", "onExitCodes": {"containerName": "main", "operator": "In", "values": [42]}},
    ]
    await make(running, job(podFailurePolicy={"rules": rules}, backoffLimit=0))
    (ignored,) = await active(running, 1)
    await end(running, ignored, "Failed", 7)

    async def another() -> Object:
        (pod,) = [pod for pod in await active(running, 1) if pod["metadata"]["uid"] != ignored["metadata"]["uid"]]
        return pod

    pod = await running.until(another)
    await end(running, pod, "Failed", 42)
    status = await status_with(running, "Failed")
    assert status["reason"] == "PodFailurePolicy"
    name = f"default/{pod['metadata']['name']}"
    assert (
        status["message"] == f"Container main for pod {name} failed with exit code 42 matching FailJob rule at index 1"
    )
    assert status["failed"] == 1


async def test_a_deleted_pod_counts_as_failed_and_a_deleted_job_lets_go(running: World) -> None:
    running.run(GarbageCollector(running.client, running.informers))
    await make(running, job())
    (pod,) = await active(running, 1)
    await running.client.delete(POD, pod["metadata"]["name"], "default")

    async def counted() -> bool:
        found = await running.client.get(JOB, "work", "default")
        return bool(found["status"].get("failed") == 1)

    await running.until(counted)
    await active(running, 1)
    await running.client.delete(JOB, "work", "default", propagation_policy="Background")

    async def gone() -> bool:
        return not await running.items(POD, "default")

    await running.until(gone)


async def test_ttl_deletes_the_job_with_its_pods(running: World) -> None:
    running.run(
        GarbageCollector(running.client, running.informers), TTLAfterFinished(running.client, running.informers)
    )
    await make(running, job(ttlSecondsAfterFinished=1))
    (pod,) = await active(running, 1)
    await end(running, pod, "Succeeded")
    await status_with(running, "Complete")

    async def gone() -> bool:
        return not await running.items(JOB, "default") and not await running.items(POD, "default")

    await running.until(gone)


async def test_a_controller_that_starts_anew_counts_nothing_twice(world: World) -> None:
    await world.add_nodes(1)
    world.run(Scheduler(world.client, world.informers), world.kubelet)
    (first,) = world.run(JobController(world.client, world.informers, first_backoff=FAST))
    await make(world, job(completions=4, parallelism=4))
    pods = await active(world, 4)
    await asyncio.gather(*(end(world, pod, "Succeeded") for pod in pods))
    await asyncio.sleep(0.005)
    first.cancel()
    world.run(JobController(world.client, world.informers, first_backoff=FAST))
    assert (await status_with(world, "Complete"))["succeeded"] == 4


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (job(restart="Always"), 'spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'),
        (job(completionMode="Indexed", parallelism=1), "spec.completions: Required value: when completion mode"),
        (job(parallelism=-1), "spec.parallelism: Invalid value: -1: must be greater than or equal to 0"),
        (job(backoffLimitPerIndex=1), "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"),
        (job(selector={"matchLabels": {"a": "b"}}), "`selector` not auto-generated"),
    ],
)
async def test_what_is_wrong_is_said(world: World, body: Object, text: str) -> None:
    with pytest.raises(Invalid) as refused:
        await make(world, body)
    assert text in refused.value.message


async def test_the_template_and_completions_are_immutable(world: World) -> None:
    await make(world, job())
    with pytest.raises(Invalid, match=r"spec\.completions: Invalid value: 2: field is immutable"):
        await world.client.patch(JOB, "work", "default", body={"spec": {"completions": 2}})
    body = {"spec": {"template": {"spec": {"hostname": "other"}}}}
    with pytest.raises(Invalid, match="field is immutable"):
        await world.client.patch(JOB, "work", "default", body=body)
