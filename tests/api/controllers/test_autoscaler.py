"""HorizontalPodAutoscalers on a real API: they scale by what metrics.k8s.io says, and say what keeps them from it."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, POD
from controlplane.api.kinds.resource_metrics import POD_METRICS
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.controllers.autoscaler import HorizontalPodAutoscalerController
from controlplane.controllers.deployment import DeploymentController
from controlplane.controllers.replicaset import ReplicaSetController
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, deployment

HPA = HORIZONTAL_POD_AUTOSCALER


class Load:
    """What every pod is said to use."""

    def __init__(self, world: World) -> None:
        self.cpu = ""
        self._pods = world.informers.of(POD)
        world.registry.computed.serve(POD_METRICS, self._metrics)
        world.registry.scheme.add(POD_METRICS)

    def _metrics(self) -> list[Object]:
        return [
            {
                "apiVersion": POD_METRICS.api_version,
                "kind": POD_METRICS.name,
                "metadata": {key: pod["metadata"][key] for key in ("name", "namespace", "labels")},
                "timestamp": timestamp(),
                "window": "0s",
                "containers": [{"name": "main", "usage": {"cpu": self.cpu, "memory": "10Mi"}}],
            }
            for pod in self._pods.list()
            if self.cpu and pod.get("status", {}).get("phase") == "Running"
        ]


@pytest.fixture
async def load(world: World) -> Load:
    made = Load(world)
    await world.add_nodes(1, cpu="64")
    kinds = (DeploymentController, ReplicaSetController, Scheduler)
    controllers = [kind(world.client, world.informers) for kind in kinds]
    world.run(*controllers, HorizontalPodAutoscalerController(world.client, world.informers, period=0.1))
    world.run(world.kubelet)
    return made


def autoscaler(name: str = "web", **spec: Any) -> Object:
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    return {"metadata": {"name": name}, "spec": {"scaleTargetRef": reference, "maxReplicas": 10, **spec}}


def by(resource: str, **target: Any) -> list[dict[str, Any]]:
    return [{"type": "Resource", "resource": {"name": resource, "target": target}}]


async def start(world: World, *, request: str | None = "100m", replicas: int = 1) -> None:
    body = deployment("web", replicas)
    if request:
        body["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": request}}
    await world.client.create(DEPLOYMENT, body, "default")


async def conditions(world: World) -> dict[str, tuple[str, str, str]]:
    found = await world.client.get(HPA, "web", "default")
    entries = found.get("status", {}).get("conditions", [])
    return {entry["type"]: (entry["status"], entry["reason"], entry["message"]) for entry in entries}


async def replicas(world: World) -> int:
    return int((await world.client.get(DEPLOYMENT, "web", "default"))["spec"]["replicas"])


async def rescaled(world: World, message: str) -> None:
    async def said() -> bool:
        return message in await world.messages("SuccessfulRescale")

    await world.until(said)


async def test_grows_and_shrinks_by_memory_per_pod(world: World, load: Load) -> None:
    load.cpu = "1m"
    await start(world)
    quick = {"scaleDown": {"stabilizationWindowSeconds": 0}}
    metrics = by("memory", type="AverageValue", averageValue="4Mi")
    await world.client.create(HPA, autoscaler(metrics=metrics, behavior=quick), "default")

    async def grown() -> bool:
        assert await replicas(world) == 3
        found = await world.client.get(HPA, "web", "default")
        assert found["status"]["currentMetrics"][0]["resource"]["current"] == {"averageValue": "10Mi"}
        return (await conditions(world))["ScalingActive"][:2] == ("True", "ValidMetricFound")

    await world.until(grown)
    await rescaled(world, "New size: 3; reason: memory resource above target")
    metrics = by("memory", type="AverageValue", averageValue="40Mi")
    await world.client.patch(HPA, "web", "default", body={"spec": {"metrics": metrics}})

    async def shrunk() -> bool:
        return await replicas(world) == 1

    await world.until(shrunk)
    await rescaled(world, "New size: 1; reason: All metrics below target")


async def test_bounds_are_kept_whatever_is_used(world: World, load: Load) -> None:
    await start(world, replicas=12)
    await world.client.create(HPA, autoscaler(minReplicas=2), "default")

    async def lowered() -> bool:
        return await replicas(world) == 10

    await world.until(lowered)
    await rescaled(world, "New size: 10; reason: Current number of replicas above Spec.MaxReplicas")
    await world.client.patch(HPA, "web", "default", body={"spec": {"minReplicas": 4}})
    await world.client.patch(DEPLOYMENT, "web", "default", body={"spec": {"replicas": 2}})

    async def raised() -> bool:
        return await replicas(world) == 4

    await world.until(raised)
    await world.client.patch(DEPLOYMENT, "web", "default", body={"spec": {"replicas": 0}})

    async def disabled() -> bool:
        return (await conditions(world))["ScalingActive"][1] == "ScalingDisabled"

    await world.until(disabled)
    assert await replicas(world) == 0


async def test_what_cannot_be_measured_is_said(world: World, load: Load) -> None:
    await start(world)
    await world.client.create(HPA, autoscaler(), "default")
    text = "unable to get metrics for resource cpu: no metrics returned from resource metrics API"

    async def nothing() -> bool:
        assert (await conditions(world))["ScalingActive"] == (
            "False",
            "FailedGetResourceMetric",
            f"the HPA was unable to compute the replica count: failed to get cpu utilization: {text}",
        )
        return f"failed to get cpu utilization: {text}" in await world.messages("FailedGetResourceMetric")

    await world.until(nothing)

    async def counted() -> bool:
        first = f"failed to get cpu resource metric value: failed to get cpu utilization: {text}"
        said = f"invalid metrics (1 invalid out of 1), first error is: {first}"
        return said in await world.messages("FailedComputeMetricsReplicas")

    await world.until(counted)
    metric = {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "5"}}
    external = [{"type": "External", "external": metric}]
    await world.client.patch(HPA, "web", "default", body={"spec": {"metrics": external}})

    async def no_adapter() -> bool:
        status, reason, said = (await conditions(world))["ScalingActive"]
        assert "unable to get external metric default/queue/nil: unable to fetch metrics from external" in said
        return (status, reason) == ("False", "FailedGetExternalMetric")

    await world.until(no_adapter)


async def test_a_target_that_is_not_there(world: World, load: Load) -> None:
    await world.client.create(HPA, autoscaler(), "default")

    async def missing() -> bool:
        assert (await conditions(world))["AbleToScale"] == (
            "False",
            "FailedGetScale",
            'the HPA controller was unable to get the target\'s current scale: deployments.apps "web" not found',
        )
        return 'deployments.apps "web" not found' in await world.messages("FailedGetScale")

    await world.until(missing)
