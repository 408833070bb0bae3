"""The official Python client `kubernetes`: synchronous, so each test's work is in a thread of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from controlplane.api.kinds import LEASE
from tests.api.conftest import Served
from tests.api.crds import widget, widgets

kubernetes = pytest.importorskip("kubernetes")
from kubernetes import client, dynamic, utils, watch  # noqa: E402
from kubernetes.leaderelection import electionconfig, leaderelection  # noqa: E402
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock  # noqa: E402
from kubernetes.stream import portforward, stream  # noqa: E402

T = TypeVar("T")

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


async def with_client(config_file: Path, work: Callable[[client.ApiClient], T]) -> T:
    def run() -> T:
        with kubernetes.config.new_client_from_config(str(config_file)) as api:
            return work(api)

    async with asyncio.timeout(30):
        return await asyncio.to_thread(run)


def config_map(name: str, **data: str) -> client.V1ConfigMap:
    return client.V1ConfigMap(metadata=client.V1ObjectMeta(name=name, labels={"app": "x"}), data=data)


async def test_objects(config_file: Path) -> None:
    def work(api: client.ApiClient) -> None:
        core = client.CoreV1Api(api)
        made = core.create_namespaced_config_map("default", config_map("a", k="1"))
        assert (made.data, made.metadata.namespace) == ({"k": "1"}, "default")
        patched = core.patch_namespaced_config_map("a", "default", {"data": {"k": "2"}})
        assert patched.data == {"k": "2"}
        patched.data = {"k": "3"}
        assert core.replace_namespaced_config_map("a", "default", patched).data == {"k": "3"}
        patched.data = {"k": "4"}
        with pytest.raises(client.ApiException) as caught:
            core.replace_namespaced_config_map("a", "default", patched)
        assert (caught.value.status, caught.value.reason) == (409, "Conflict")
        listed = core.list_namespaced_config_map("default", label_selector="app=x", limit=1)
        assert [one.metadata.name for one in listed.items] == ["a"]
        assert core.delete_namespaced_config_map("a", "default")["status"] == "Success"
        with pytest.raises(client.ApiException) as caught:
            core.read_namespaced_config_map("a", "default")
        assert caught.value.status == 404

    await with_client(config_file, work)


async def test_a_watch(config_file: Path) -> None:
    def work(api: client.ApiClient) -> list[tuple[str, str]]:
        core = client.CoreV1Api(api)
        version = core.list_namespaced_config_map("default").metadata.resource_version
        core.create_namespaced_config_map("default", config_map("a"))
        core.patch_namespaced_config_map("a", "default", {"data": {"k": "2"}})
        core.delete_namespaced_config_map("a", "default")
        found = watch.Watch().stream(
            core.list_namespaced_config_map, "default", resource_version=version, timeout_seconds=1
        )
        return [(event["type"], event["object"].metadata.name) for event in found]

    assert await with_client(config_file, work) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]


async def test_deployments_from_a_manifest(config_file: Path) -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "one"}]}}
    body = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }

    def work(api: client.ApiClient) -> None:
        utils.create_from_dict(api, body)
        apps = client.AppsV1Api(api)
        scale = apps.patch_namespaced_deployment_scale("web", "default", {"spec": {"replicas": 5}})
        assert scale.spec.replicas == 5
        status = apps.patch_namespaced_deployment_status("web", "default", {"status": {"replicas": 5}})
        assert (status.status.replicas, status.spec.replicas) == (5, 5)
        deleted = apps.delete_namespaced_deployment("web", "default", propagation_policy="Background")
        assert deleted["status"] == "Success"

    await with_client(config_file, work)


async def test_the_dynamic_client_discovers_and_applies(config_file: Path) -> None:
    def work(api: client.ApiClient) -> None:
        resource = dynamic.DynamicClient(api).resources.get(api_version="v1", kind="ConfigMap")
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": "1"}}
        applied = resource.server_side_apply(body=body, namespace="default", field_manager="me")
        assert applied.metadata.managedFields[0].manager == "me"
        assert resource.get(name="a", namespace="default").data.k == "1"

    await with_client(config_file, work)


@pytest.mark.usefixtures("running")
async def test_logs_and_exec(config_file: Path) -> None:
    def work(api: client.ApiClient) -> None:
        core = client.CoreV1Api(api)
        assert core.read_namespaced_pod_log("one", "default") == "first\n"
        command = ["sh", "-c", "echo out; echo err >&2; exit 3"]
        arguments = {"command": command, "stdout": True, "stderr": True, "stdin": False, "tty": False}
        call = stream(core.connect_get_namespaced_pod_exec, "one", "default", _preload_content=False, **arguments)
        call.run_forever(timeout=5)
        assert (call.read_stdout(), call.read_stderr(), call.returncode) == ("out\n", "err\n", 3)

    await with_client(config_file, work)


@pytest.mark.usefixtures("running")
async def test_ports_are_forwarded(config_file: Path, echo: int) -> None:
    def work(api: client.ApiClient) -> None:
        core = client.CoreV1Api(api)
        forward = portforward(core.connect_get_namespaced_pod_portforward, "one", "default", ports=f"{echo},1")
        opened = forward.socket(echo)
        opened.settimeout(5)
        for word in (b"one\n", b"two\n"):
            opened.sendall(word)
            assert opened.recv(100) == b"got " + word
        assert "failed to connect to localhost:1" in forward.error(1)
        forward.close()

    await with_client(config_file, work)


class Resigned(Exception):
    """A leader's work has failed: it lets its lease run out."""


async def test_a_lease_passes_from_one_leader_to_the_next(served: Served, config_file: Path) -> None:
    led: list[str] = []

    def work(api: client.ApiClient) -> None:
        for name in ("first", "second"):
            lock = LeaseLock("lock", "default", name)
            lock.api_instance = client.CoordinationV1Api(api)

            def lead(name: str = name) -> None:
                led.append(name)
                raise Resigned(name)

            leaderelection.LeaderElection(electionconfig.Config(lock, 3, 2, 1, lead, lambda: None)).run()

    await with_client(config_file, work)
    assert led == ["first", "second"]
    lease = (await served.local.get(LEASE, "lock", "default"))["spec"]
    assert (lease["holderIdentity"], lease["leaseDurationSeconds"]) == ("second", 3)


async def test_versions_and_groups(config_file: Path) -> None:
    def work(api: client.ApiClient) -> None:
        assert client.VersionApi(api).get_code().minor == "37"
        assert "apps" in [group.name for group in client.ApisApi(api).get_api_versions().groups]
        review = client.V1SelfSubjectAccessReview(
            spec=client.V1SelfSubjectAccessReviewSpec(
                resource_attributes=client.V1ResourceAttributes(verb="list", resource="pods")
            )
        )
        assert client.AuthorizationV1Api(api).create_self_subject_access_review(review).status.allowed

    await with_client(config_file, work)


async def test_custom_resources(config_file: Path) -> None:
    def work(api: client.ApiClient) -> None:
        extensions, objects = client.ApiextensionsV1Api(api), client.CustomObjectsApi(api)
        made = extensions.create_custom_resource_definition(widgets())
        assert made.spec.names.singular == "widget"
        place = ("example.com", "v1", "default", "widgets")
        assert objects.create_namespaced_custom_object(*place, widget("w"))["spec"]["color"] == "red"
        patched = objects.patch_namespaced_custom_object(*place, "w", {"spec": {"size": 2}})
        assert patched["spec"]["size"] == 2
        with pytest.raises(client.ApiException) as caught:
            objects.create_namespaced_custom_object(*place, widget("x", size="big"))
        assert caught.value.status == 422
        found = dynamic.DynamicClient(api).resources.get(api_version="example.com/v1", kind="Widget")
        assert [one.metadata.name for one in found.get(namespace="default").items] == ["w"]
        assert objects.delete_namespaced_custom_object(*place, "w")["status"] == "Success"

    await with_client(config_file, work)
