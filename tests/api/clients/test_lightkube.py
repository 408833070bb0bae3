"""The client `lightkube`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lightkube import ApiError, AsyncClient, KubeConfig
from lightkube.models.autoscaling_v1 import ScaleSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import Deployment
from lightkube.resources.core_v1 import ConfigMap, Pod
from lightkube.types import PatchType

pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


@pytest.fixture
async def client(config_file: Path) -> AsyncIterator[AsyncClient]:
    made = AsyncClient(config=KubeConfig.from_file(config_file), namespace="default", field_manager="lightkube")
    yield made
    await made.close()


def config_map(**data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name="a"), data=data)


async def test_objects(client: AsyncClient) -> None:
    made = await client.create(config_map(k="1"))
    assert made.data == {"k": "1"}
    patched = await client.patch(ConfigMap, "a", {"data": {"k": "2"}}, patch_type=PatchType.MERGE)
    assert patched.data == {"k": "2"}
    applied = await client.apply(config_map(k="3"), force=True)
    assert applied.data == {"k": "3"}
    assert [one.metadata.name async for one in client.list(ConfigMap)] == ["a"]
    await client.delete(ConfigMap, "a")
    with pytest.raises(ApiError) as caught:
        await client.get(ConfigMap, "a")
    assert (caught.value.status.code, caught.value.status.reason) == (404, "NotFound")


async def test_a_deployment_is_scaled(client: AsyncClient) -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "one"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    await client.create(Deployment.from_dict({"metadata": {"name": "web"}, "spec": spec}))
    await client.replace(Deployment.Scale(metadata=ObjectMeta(name="web"), spec=ScaleSpec(replicas=4)))
    assert (await client.get(Deployment, "web")).spec.replicas == 4


async def test_a_watch(client: AsyncClient) -> None:
    await client.create(config_map())
    seen = []
    async with asyncio.timeout(30):
        async for type_, one in client.watch(ConfigMap, server_timeout=2):
            seen.append((type_, one.metadata.name))
            if type_ == "DELETED":
                break
            await client.delete(ConfigMap, "a")
    assert seen == [("ADDED", "a"), ("DELETED", "a")]


@pytest.mark.usefixtures("running")
async def test_logs(client: AsyncClient) -> None:
    assert [line async for line in client.log("one")] == ["first\n"]
    assert (await client.get(Pod, "one")).spec.nodeName == "node-1"
