"""The contract of `Client`, for each implementation of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.api.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from controlplane.api.kinds import CONFIG_MAP, DEPLOYMENT, NAMESPACE, POD, SERVICE_ACCOUNT
from controlplane.api.types import Object
from controlplane.client.https import HttpsClient, tls_context
from controlplane.client.informer import Informer
from controlplane.client.interface import Client, WatchEvent
from tests.api.conftest import Served, serving


@pytest.fixture(params=["local", "https"])
async def client(request: pytest.FixtureRequest, served: Served) -> AsyncIterator[Client]:
    if request.param == "local":
        yield served.local
    else:
        async with served.https() as https:
            yield https


def config_map(name: str, **labels: str) -> Object:
    return {"metadata": {"name": name, "labels": labels} if labels else {"name": name}, "data": {"k": "v"}}


async def test_what_was_created_is_what_get_returns(client: Client) -> None:
    made = await client.create(CONFIG_MAP, config_map("a"), "default")
    assert made["apiVersion"] == "v1"
    assert made["kind"] == "ConfigMap"
    assert made["metadata"]["namespace"] == "default"
    assert made["metadata"]["uid"]
    assert await client.get(CONFIG_MAP, "a", "default") == made


async def test_create_leaves_the_callers_object_alone(client: Client) -> None:
    body = config_map("a")
    await client.create(CONFIG_MAP, body, "default")
    assert body == config_map("a")


async def test_a_second_create_of_the_name_is_refused(client: Client) -> None:
    await client.create(CONFIG_MAP, config_map("a"), "default")
    with pytest.raises(AlreadyExists, match=r'^configmaps "a" already exists$'):
        await client.create(CONFIG_MAP, config_map("a"), "default")


async def test_get_of_nothing(client: Client) -> None:
    with pytest.raises(NotFound, match=r'^configmaps "a" not found$'):
        await client.get(CONFIG_MAP, "a", "default")


async def test_create_in_no_namespace(client: Client) -> None:
    with pytest.raises(NotFound, match=r'^namespaces "nowhere" not found$'):
        await client.create(CONFIG_MAP, config_map("a"), "nowhere")


async def test_update_of_an_old_version_conflicts(client: Client) -> None:
    first = await client.create(CONFIG_MAP, config_map("a"), "default")
    second = await client.update(CONFIG_MAP, first | {"data": {"k": "2"}})
    assert second["data"] == {"k": "2"}
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    with pytest.raises(Conflict, match="the object has been modified"):
        await client.update(CONFIG_MAP, first | {"data": {"k": "3"}})


async def test_an_update_that_changes_nothing_writes_nothing(client: Client) -> None:
    first = await client.create(CONFIG_MAP, config_map("a"), "default")
    assert await client.update(CONFIG_MAP, first) == first


async def test_merge_patch(client: Client) -> None:
    await client.create(CONFIG_MAP, config_map("a"), "default")
    patched = await client.patch(CONFIG_MAP, "a", "default", body={"data": {"k": None, "n": "1"}})
    assert patched["data"] == {"n": "1"}


async def test_list_selects_by_namespace_label_and_field(client: Client) -> None:
    await client.create(CONFIG_MAP, config_map("a", tier="web"), "default")
    await client.create(CONFIG_MAP, config_map("b", tier="db"), "default")
    await client.create(CONFIG_MAP, config_map("c", tier="web"), "kube-system")

    async def names(namespace: str = "", label_selector: str = "", field_selector: str = "") -> list[str]:
        found = await client.list(CONFIG_MAP, namespace, label_selector=label_selector, field_selector=field_selector)
        return [item["metadata"]["name"] for item in found.items]

    assert await names() == ["a", "b", "c"]
    assert await names("default") == ["a", "b"]
    assert await names(label_selector="tier=web") == ["a", "c"]
    assert await names("default", label_selector="tier in (web,db)", field_selector="metadata.name=b") == ["b"]


async def test_watch_continues_a_list_without_a_gap(client: Client) -> None:
    listed = await client.list(CONFIG_MAP, "default")
    await client.create(CONFIG_MAP, config_map("a"), "default")
    await client.patch(CONFIG_MAP, "a", "default", body={"data": {"k": "2"}})
    await client.delete(CONFIG_MAP, "a", "default")
    events = await take(client.watch(CONFIG_MAP, "default", resource_version=listed.resource_version), 3)
    assert [event.type for event in events] == ["ADDED", "MODIFIED", "DELETED"]
    versions = [int(event.object["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(versions)
    assert events[-1].object["data"] == {"k": "2"}
    assert events[-1].object["kind"] == "ConfigMap"


async def test_watch_with_labels_shows_objects_coming_and_going(client: Client) -> None:
    listed = await client.list(CONFIG_MAP)
    watch = client.watch(CONFIG_MAP, resource_version=listed.resource_version, label_selector="tier=web")
    await client.create(CONFIG_MAP, config_map("a"), "default")
    await client.patch(CONFIG_MAP, "a", "default", body={"metadata": {"labels": {"tier": "web"}}})
    await client.patch(CONFIG_MAP, "a", "default", body={"metadata": {"labels": {"tier": "db"}}})
    added, deleted = await take(watch, 2)
    assert (added.type, deleted.type) == ("ADDED", "DELETED")
    assert deleted.object["metadata"]["labels"] == {"tier": "web"}
    assert int(deleted.object["metadata"]["resourceVersion"]) > int(added.object["metadata"]["resourceVersion"])


async def test_delete_with_another_uid_conflicts(client: Client) -> None:
    made = await client.create(CONFIG_MAP, config_map("a"), "default")
    with pytest.raises(Conflict, match="Precondition failed: UID in precondition: other"):
        await client.delete(CONFIG_MAP, "a", "default", uid="other")
    await client.delete(CONFIG_MAP, "a", "default", uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.delete(CONFIG_MAP, "a", "default")


async def test_finalizers_hold_a_deleted_object(client: Client) -> None:
    held = config_map("a")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await client.create(CONFIG_MAP, held, "default")
    await client.delete(CONFIG_MAP, "a", "default")
    marked = await client.get(CONFIG_MAP, "a", "default")
    assert marked["metadata"]["deletionTimestamp"]
    await client.patch(CONFIG_MAP, "a", "default", body={"metadata": {"finalizers": None}})
    with pytest.raises(NotFound):
        await client.get(CONFIG_MAP, "a", "default")


async def test_the_default_namespace_is_there_and_stays(client: Client) -> None:
    assert (await client.get(NAMESPACE, "default"))["metadata"]["name"] == "default"


async def test_invalid_objects_are_refused_with_their_fields(client: Client) -> None:
    bad = config_map("Not_A_Name")
    with pytest.raises(Invalid) as caught:
        await client.create(CONFIG_MAP, bad, "default")
    assert caught.value.details is not None
    assert [cause["field"] for cause in caught.value.details["causes"]] == ["metadata.name"]
    assert (await client.list(CONFIG_MAP)).items == []


async def test_status_and_scale_are_parts_of_their_own(client: Client) -> None:
    made = await client.create(DEPLOYMENT, deployment(), "default")
    assert made["metadata"]["generation"] == 1
    scaled = await client.patch(DEPLOYMENT, "web", "default", body={"spec": {"replicas": 5}}, subresource="scale")
    assert (scaled["kind"], scaled["spec"], scaled["status"]["selector"]) == ("Scale", {"replicas": 5}, "app=web")
    body = {"spec": {"replicas": 9}, "status": {"replicas": 2, "observedGeneration": 2}}
    patched = await client.patch(DEPLOYMENT, "web", "default", body=body, subresource="status")
    assert (patched["spec"]["replicas"], patched["status"]["replicas"]) == (5, 2)
    assert patched["metadata"]["generation"] == 2
    changed = await client.patch(DEPLOYMENT, "web", "default", body={"status": {"replicas": 7}})
    assert changed["status"]["replicas"] == 2


async def test_strategic_and_json_patches(client: Client) -> None:
    await client.create(DEPLOYMENT, deployment(), "default")
    image = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "two"}]}}}}
    patched = await client.patch(DEPLOYMENT, "web", "default", body=image, patch_type="strategic")
    assert [one["image"] for one in patched["spec"]["template"]["spec"]["containers"]] == ["two"]
    steps = [
        {"op": "test", "path": "/spec/replicas", "value": 1},
        {"op": "replace", "path": "/spec/replicas", "value": 4},
    ]
    patched = await client.patch(DEPLOYMENT, "web", "default", body=steps, patch_type="json")
    assert patched["spec"]["replicas"] == 4


async def test_binding_assigns_a_pod_once(client: Client) -> None:
    made = await client.create(POD, pod("a"), "default")
    binding: Object = {"target": {"kind": "Node", "name": "node-1"}}
    another = binding | {"metadata": {"name": "a", "uid": "another"}}
    with pytest.raises(Conflict, match=f"UID in precondition: another, UID in object meta: {made['metadata']['uid']}"):
        await client.create(POD, another, "default", subresource="binding", name="a")
    await client.create(POD, binding, "default", subresource="binding", name="a")
    bound = await client.get(POD, "a", "default")
    assert bound["spec"]["nodeName"] == "node-1"
    assert [one["type"] for one in bound["status"]["conditions"]] == ["PodScheduled"]
    with pytest.raises(Conflict, match='pod a is already assigned to node "node-1"'):
        await client.create(POD, binding, "default", subresource="binding", name="a")
    on_node = await client.list(POD, field_selector="spec.nodeName=node-1")
    assert [item["metadata"]["name"] for item in on_node.items] == ["a"]


async def test_a_pod_that_runs_is_given_its_grace(client: Client) -> None:
    await client.create(POD, pod("a"), "default")
    await client.create(POD, {"target": {"name": "node-1"}}, "default", subresource="binding", name="a")
    await client.delete(POD, "a", "default")
    marked = await client.get(POD, "a", "default")
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    await client.delete(POD, "a", "default", grace_period_seconds=5)
    assert (await client.get(POD, "a", "default"))["metadata"]["deletionGracePeriodSeconds"] == 5
    await client.delete(POD, "a", "default", grace_period_seconds=0, uid=marked["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.get(POD, "a", "default")


async def test_a_pod_without_a_node_goes_at_once(client: Client) -> None:
    await client.create(POD, pod("a"), "default")
    await client.create(POD, {}, "default", subresource="eviction", name="a")
    with pytest.raises(NotFound):
        await client.get(POD, "a", "default")


async def test_tokens_are_bound_to_their_pod(client: Client) -> None:
    await client.create(SERVICE_ACCOUNT, {"metadata": {"name": "robot"}}, "default")
    made = await client.create(POD, pod("a", serviceAccountName="robot"), "default")
    reference = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": made["metadata"]["uid"]}
    body = {"spec": {"expirationSeconds": 3607, "boundObjectRef": reference}}
    answer = await client.create(SERVICE_ACCOUNT, body, "default", subresource="token", name="robot")
    assert answer["status"]["token"].count(".") == 2
    short = {"spec": {"expirationSeconds": 10}}
    with pytest.raises(Invalid, match="may not specify a duration less than 10 minutes"):
        await client.create(SERVICE_ACCOUNT, short, "default", subresource="token", name="robot")


async def test_deletion_policies_are_finalizers(client: Client) -> None:
    await client.create(CONFIG_MAP, config_map("a"), "default")
    await client.delete(CONFIG_MAP, "a", "default", propagation_policy="Foreground")
    marked = await client.get(CONFIG_MAP, "a", "default")
    assert marked["metadata"]["finalizers"] == ["foregroundDeletion"]


async def test_a_namespace_is_emptied_before_it_goes(client: Client) -> None:
    await client.create(NAMESPACE, {"metadata": {"name": "brief"}})
    await client.delete(NAMESPACE, "brief")
    marked = await client.get(NAMESPACE, "brief")
    assert marked["status"]["phase"] == "Terminating"
    with pytest.raises(Forbidden, match="because it is being terminated"):
        await client.create(CONFIG_MAP, config_map("a"), "brief")
    await client.update(NAMESPACE, marked | {"spec": {}}, subresource="finalize")
    with pytest.raises(NotFound):
        await client.get(NAMESPACE, "brief")


async def test_three_namespaces_stay(client: Client) -> None:
    with pytest.raises(Forbidden, match='namespaces "kube-system" is forbidden: this namespace may not be deleted'):
        await client.delete(NAMESPACE, "kube-system")


async def test_a_server_that_has_gone_is_a_connection_error(tmp_path: Path) -> None:
    async with serving(tmp_path) as served, served.https() as https:
        await https.get(NAMESPACE, "default")
        url, ca = served.url, served.pki.ca_certificate
    async with HttpsClient.connect(url, tls_context(ca)) as client:
        with pytest.raises(ConnectionError):
            await client.get(NAMESPACE, "default")


async def test_an_informer_follows_either_client(client: Client) -> None:
    await client.create(CONFIG_MAP, config_map("a"), "default")
    informer = Informer(client, CONFIG_MAP, "default")
    seen: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def handle(old: Object | None, new: Object | None) -> None:
        known = new or old
        assert known is not None
        kind = "added" if old is None else "deleted" if new is None else "modified"
        seen.put_nowait((kind, known["metadata"]["name"]))

    informer.add_handler(handle)
    running = asyncio.ensure_future(informer.run())
    async with asyncio.timeout(30):
        await informer.wait_synced()
        await client.patch(CONFIG_MAP, "a", "default", body={"data": {"k": "2"}})
        await client.delete(CONFIG_MAP, "a", "default")
        assert [await seen.get() for _ in range(3)] == [("added", "a"), ("modified", "a"), ("deleted", "a")]
    assert informer.list() == []
    running.cancel()


def deployment() -> Object:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "one"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}
    return {"metadata": {"name": "web"}, "spec": spec}


def pod(name: str, **spec: str) -> Object:
    return {"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec}}


async def take(watch: AsyncIterator[WatchEvent], count: int) -> list[WatchEvent]:
    events = []
    async with asyncio.timeout(30):
        async for event in watch:
            events.append(event)
            if len(events) == count:
                break
    return events
