"""The client `kr8s`, which works on what discovery says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import kr8s
import pytest
from kr8s.asyncio.objects import ConfigMap, Deployment, Pod

pytestmark = [
    pytest.mark.filterwarnings("ignore:Kubernetes version .* not supported"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@pytest.fixture
async def api(config_file: Path) -> AsyncIterator[Any]:
    opened = await kr8s.asyncio.api(kubeconfig=str(config_file))
    yield opened
    await opened._session.aclose()  # there is no public way, and every client is kept for good


async def test_objects(api: Any) -> None:
    made = await ConfigMap({"metadata": {"name": "a", "namespace": "default"}, "data": {"k": "1"}}, api=api)
    await made.create()
    await made.patch({"data": {"k": "2"}})
    assert made.raw["data"] == {"k": "2"}
    await made.label({"app": "x"})
    found = [one async for one in api.get("configmaps", namespace="default", label_selector={"app": "x"})]
    assert [one.name for one in found] == ["a"]
    await made.delete()
    assert not await made.exists()


async def test_a_deployment_is_scaled(api: Any) -> None:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "one"}]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    made = await Deployment({"metadata": {"name": "web", "namespace": "default"}, "spec": spec}, api=api)
    await made.create()
    await made.patch({"spec": {"replicas": 3}}, subresource="scale")
    await made.refresh()
    assert made.replicas == 3


async def test_a_watch(api: Any) -> None:
    async def create() -> None:
        await asyncio.sleep(0.1)
        await (await ConfigMap({"metadata": {"name": "late", "namespace": "default"}}, api=api)).create()

    creating = asyncio.ensure_future(create())
    async with asyncio.timeout(30):
        async for type_, one in api.watch("configmaps", namespace="default"):
            if one.name == "late":
                assert type_ == "ADDED"
                break
    await creating


@pytest.mark.usefixtures("running")
async def test_logs(api: Any) -> None:
    pod = await Pod.get("one", namespace="default", api=api)
    async with asyncio.timeout(30):
        assert [line async for line in pod.logs()] == ["first"]


@pytest.mark.usefixtures("running")
async def test_exec(api: Any) -> None:
    pod = await Pod.get("one", namespace="default", api=api)
    async with asyncio.timeout(30):
        done = await pod.exec(["sh", "-c", "echo out; echo err >&2"])
        assert (done.stdout, done.stderr, done.returncode) == (b"out\n", b"err\n", 0)
        failed = await pod.exec(["sh", "-c", "exit 3"], check=False)
        assert failed.returncode == 3


@pytest.mark.usefixtures("running")
async def test_a_port_is_forwarded(api: Any, echo: int) -> None:
    pod = await Pod.get("one", namespace="default", api=api)
    async with asyncio.timeout(30), pod.portforward(remote_port=echo, local_port="auto") as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for word in (b"one\n", b"two\n"):
            writer.write(word)
            assert await reader.readline() == b"got " + word
        writer.close()
        await writer.wait_closed()
