"""The client `kubernetes_asyncio`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from kubernetes_asyncio import client, config, watch
from kubernetes_asyncio.stream import WsApiClient

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
async def configuration(config_file: Path) -> client.Configuration:
    made = client.Configuration()
    await config.load_kube_config(str(config_file), client_configuration=made)
    return made


@pytest.fixture
async def core(configuration: client.Configuration) -> AsyncIterator[client.CoreV1Api]:
    async with client.ApiClient(configuration) as api:
        yield client.CoreV1Api(api)


async def test_objects(core: client.CoreV1Api) -> None:
    body = {"metadata": {"name": "a"}, "data": {"k": "1"}}
    assert (await core.create_namespaced_config_map("default", body)).data == {"k": "1"}
    assert (await core.patch_namespaced_config_map("a", "default", {"data": {"k": "2"}})).data == {"k": "2"}
    with pytest.raises(client.ApiException) as caught:
        await core.create_namespaced_config_map("default", body)
    assert (caught.value.status, caught.value.reason) == (409, "Conflict")
    names = [one.metadata.name for one in (await core.list_config_map_for_all_namespaces()).items]
    assert "a" in names
    await core.delete_collection_namespaced_config_map("default")
    assert (await core.list_namespaced_config_map("default")).items == []


async def test_a_watch(core: client.CoreV1Api) -> None:
    version = (await core.list_namespaced_config_map("default")).metadata.resource_version
    seen = []
    async with asyncio.timeout(30), watch.Watch() as watching:
        events = watching.stream(core.list_namespaced_config_map, "default", resource_version=version)
        await core.create_namespaced_config_map("default", {"metadata": {"name": "a"}})
        async for event in events:
            seen.append((event["type"], event["object"].metadata.name))
            if event["type"] == "DELETED":
                break
            await core.delete_namespaced_config_map("a", "default")
    assert seen == [("ADDED", "a"), ("DELETED", "a")]


@pytest.mark.usefixtures("running")
async def test_logs_and_exec(core: client.CoreV1Api, configuration: client.Configuration) -> None:
    assert await core.read_namespaced_pod_log("one", "default") == "first\n"
    async with WsApiClient(configuration) as api:
        out = await client.CoreV1Api(api).connect_get_namespaced_pod_exec(
            "one", "default", command=["echo", "out"], stdout=True, stderr=True, stdin=False, tty=False
        )
    assert out == "out\n"
