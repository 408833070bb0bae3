"""EndpointSlices, Endpoints and the `kubernetes` Service on a real API."""

from __future__ import annotations

from typing import Any

import pytest

from controlplane.api.kinds import ENDPOINT_SLICE, ENDPOINTS, POD, REPLICA_SET, SERVICE
from controlplane.api.types import Object
from controlplane.controllers.endpoints import EndpointsController
from controlplane.controllers.endpointslice import EndpointSliceController
from controlplane.controllers.kubernetes_service import KubernetesServiceController
from controlplane.controllers.replicaset import ReplicaSetController
from controlplane.scheduler import Scheduler
from tests.api.controllers.conftest import World, pod_spec, replica_set

ZONE = {"topology.kubernetes.io/zone": "us-central1-a"}


@pytest.fixture
async def running(world: World) -> World:
    for number in (1, 2):
        await world.add_node(f"node-{number}", pods="200", **ZONE)
    world.run(
        EndpointSliceController(world.client, world.informers),
        EndpointsController(world.client, world.informers),
        ReplicaSetController(world.client, world.informers),
        Scheduler(world.client, world.informers),
        world.kubelet,
    )
    return world


def service(name: str = "web", **spec: Any) -> Object:
    ports = [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]
    return {"metadata": {"name": name}, "spec": {"selector": {"app": "web"}, "ports": ports, **spec}}


def pod(name: str, **more: Any) -> Object:
    return {"metadata": {"name": name, "labels": {"app": "web"}}, "spec": pod_spec(**more)}


async def slices(world: World, endpoints: int) -> list[Object]:
    """The slices of `web` once they hold so many endpoints."""

    async def observe() -> list[Object]:
        found = await world.items(ENDPOINT_SLICE, "default", label_selector="kubernetes.io/service-name=web")
        assert found
        assert sum(len(one.get("endpoints") or []) for one in found) == endpoints
        return found

    return await world.until(observe)


async def ready_slice(world: World) -> Object:
    async def observe() -> Object:
        (found,) = await slices(world, 1)
        assert found["endpoints"][0]["conditions"]["ready"]
        return found

    return await world.until(observe)


async def test_a_slice_shows_the_pod_and_the_service(running: World) -> None:
    made = await running.client.create(SERVICE, service(), "default")
    await running.client.create(POD, pod("web-0"), "default")
    found = await ready_slice(running)
    placed = await running.client.get(POD, "web-0", "default")
    metadata = found["metadata"]
    assert metadata["name"].startswith("web-")
    assert metadata["labels"] == {
        "kubernetes.io/service-name": "web",
        "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
    }
    assert metadata["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert found["addressType"] == "IPv4"
    assert found["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    assert found["endpoints"] == [
        {
            "addresses": [placed["status"]["podIP"]],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": placed["spec"]["nodeName"],
            "zone": "us-central1-a",
            "targetRef": {
                "kind": "Pod",
                "namespace": "default",
                "name": "web-0",
                "uid": placed["metadata"]["uid"],
            },
        }
    ]


@pytest.mark.parametrize(
    ("distribution", "kinds"),
    [("PreferClose", ["forZones"]), ("PreferSameZone", ["forZones"]), ("PreferSameNode", ["forNodes", "forZones"])],
)
async def test_traffic_distribution_becomes_hints(running: World, distribution: str, kinds: list[str]) -> None:
    await running.client.create(SERVICE, service(trafficDistribution=distribution), "default")
    await running.client.create(POD, pod("web-0"), "default")
    (endpoint,) = (await ready_slice(running))["endpoints"]
    hints = {"forZones": [{"name": endpoint["zone"]}], "forNodes": [{"name": endpoint["nodeName"]}]}
    assert endpoint["hints"] == {kind: hints[kind] for kind in kinds}

    await running.client.patch(SERVICE, "web", "default", body={"spec": {"trafficDistribution": None}})

    async def alike() -> bool:
        (found,) = await slices(running, 1)
        return "hints" not in found["endpoints"][0]

    await running.until(alike)


async def test_named_target_ports_are_found_pod_by_pod(running: World) -> None:
    named = [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]
    await running.client.create(SERVICE, service(ports=named), "default")
    for name, number in (("a", 8080), ("b", 9090)):
        container = {"name": "main", "image": "web", "ports": [{"name": "web", "containerPort": number}]}
        await running.client.create(POD, pod(name, containers=[container]), "default")
    found = await slices(running, 2)
    assert sorted(one["ports"][0]["port"] for one in found) == [8080, 9090]


async def test_a_terminating_pod_stays_until_it_ends(running: World) -> None:
    await running.client.create(SERVICE, service(), "default")
    await running.client.create(POD, pod("web-0"), "default")
    await ready_slice(running)
    running.kubelet.ends = False
    await running.client.delete(POD, "web-0", "default")

    async def terminating() -> bool:
        (found,) = await slices(running, 1)
        assert found["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
        return True

    await running.until(terminating)
    await running.client.delete(POD, "web-0", "default", grace_period_seconds=0)
    (found,) = await slices(running, 0)
    assert found["metadata"]["labels"]["kubernetes.io/service-name"] == "web"


async def test_pods_that_are_not_ready_are_shown_so_and_published_on_request(running: World) -> None:
    running.kubelet.broken = lambda pod: True
    await running.client.create(SERVICE, service(trafficDistribution="PreferSameNode"), "default")
    await running.client.create(POD, pod("web-0"), "default")
    (found,) = await slices(running, 1)
    assert found["endpoints"][0]["conditions"] == {"ready": False, "serving": False, "terminating": False}
    assert "hints" not in found["endpoints"][0]
    await running.client.patch(SERVICE, "web", "default", body={"spec": {"publishNotReadyAddresses": True}})
    found = await ready_slice(running)
    assert found["endpoints"][0]["conditions"] == {"ready": True, "serving": False, "terminating": False}


async def test_a_burst_is_written_in_batches_of_at_most_a_hundred_endpoints(running: World) -> None:
    await running.client.create(SERVICE, service(), "default")
    writes = []
    informer = running.informers.of(ENDPOINT_SLICE)
    await informer.wait_synced()
    informer.add_handler(lambda old, new: writes.append(new))
    await running.client.create(REPLICA_SET, replica_set("web", 120), "default")

    async def all_ready() -> list[Object]:
        found = await slices(running, 120)
        assert all(one["conditions"]["ready"] for slice_ in found for one in slice_["endpoints"])
        return found

    found = await running.until(all_ready)
    assert sorted(len(one["endpoints"]) for one in found) == [20, 100]
    assert len(writes) < 100


async def test_services_without_selector_are_left_alone(running: World) -> None:
    made = service()
    del made["spec"]["selector"]
    await running.client.create(SERVICE, made, "default")
    by_hand = {
        "metadata": {"name": "web-hand", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["192.0.2.1"]}],
        "ports": [{"name": "http", "port": 80}],
    }
    await running.client.create(ENDPOINT_SLICE, by_hand, "default")
    await running.client.create(POD, pod("web-0"), "default")
    await running.client.create(SERVICE, service("other"), "default")

    async def other_is_there() -> bool:
        return any(one["metadata"]["name"].startswith("other-") for one in await running.items(ENDPOINT_SLICE))

    await running.until(other_is_there)
    (found,) = await slices(running, 1)
    assert found["metadata"]["name"] == "web-hand"


async def test_endpoints_follow_and_go_with_the_service(running: World) -> None:
    await running.client.create(SERVICE, service(), "default")
    await running.client.create(POD, pod("web-0"), "default")

    async def there() -> Object:
        found = await running.client.get(ENDPOINTS, "web", "default")
        assert found["subsets"][0]["addresses"]
        return found

    found = await running.until(there)
    placed = await running.client.get(POD, "web-0", "default")
    assert found["subsets"] == [
        {
            "addresses": [
                {
                    "ip": placed["status"]["podIP"],
                    "nodeName": placed["spec"]["nodeName"],
                    "targetRef": {
                        "kind": "Pod",
                        "namespace": "default",
                        "name": "web-0",
                        "uid": placed["metadata"]["uid"],
                    },
                }
            ],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
    ]
    await running.client.delete(SERVICE, "web", "default")

    async def gone() -> bool:
        return not await running.items(ENDPOINTS, "default")

    await running.until(gone)


async def test_the_kubernetes_service_leads_to_the_api_server_and_is_mended(world: World) -> None:
    controller = KubernetesServiceController(
        world.client, world.informers, cluster_ip="10.48.0.1", address="10.128.0.2", port=6443
    )
    world.run(controller)

    async def there() -> tuple[Object, Object, Object]:
        return (
            await world.client.get(SERVICE, "kubernetes", "default"),
            await world.client.get(ENDPOINT_SLICE, "kubernetes", "default"),
            await world.client.get(ENDPOINTS, "kubernetes", "default"),
        )

    service_, slice_, endpoints = await world.until(there)
    assert service_["spec"]["clusterIP"] == "10.48.0.1"
    assert service_["metadata"]["labels"] == {"component": "apiserver", "provider": "kubernetes"}
    assert slice_["endpoints"][0]["addresses"] == ["10.128.0.2"]
    assert slice_["ports"][0]["port"] == 6443
    assert endpoints["subsets"][0]["addresses"] == [{"ip": "10.128.0.2"}]
    await world.client.delete(SERVICE, "kubernetes", "default")
    await world.until(there)
