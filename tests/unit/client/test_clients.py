"""The contract of `Client`, for each implementation of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controlplane.api.errors import AlreadyExists, Conflict, NotFound
from controlplane.api.kinds import CONFIG_MAP, NAMESPACE
from controlplane.api.types import Object
from controlplane.client.interface import Client, WatchEvent
from controlplane.client.local import LocalClient
from controlplane.server.assembly import open_registry


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with open_registry(tmp_path / "state.db") as registry:
        yield LocalClient(registry)


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


async def take(watch: AsyncIterator[WatchEvent], count: int) -> list[WatchEvent]:
    events = []
    async with asyncio.timeout(2):
        async for event in watch:
            events.append(event)
            if len(events) == count:
                break
    return events
