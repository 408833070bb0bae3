"""An operator on `kopf`: it sees objects made, writes its results into them and holds their deletion."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import kopf
import pytest

from controlplane.api.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION
from tests.api.conftest import ADMIN_TOKEN, Served
from tests.api.crds import SPEC, kind_of, version, widget, widgets

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
]


@asynccontextmanager
async def operating(served: Served, registry: kopf.OperatorRegistry) -> AsyncIterator[None]:
    @kopf.on.login(registry=registry)
    def login(**_: Any) -> kopf.ConnectionInfo:
        ca = str(served.pki.ca_certificate)
        return kopf.ConnectionInfo(server=served.url, ca_path=ca, scheme="Bearer", token=ADMIN_TOKEN)

    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.ensure_future(
        kopf.operator(registry=registry, standalone=True, namespaces=["default"], stop_flag=stop, ready_flag=ready)
    )
    try:
        async with asyncio.timeout(30):
            await ready.wait()
        yield
    finally:
        stop.set()
        async with asyncio.timeout(30):
            await running


async def test_an_operator(served: Served) -> None:
    registry = kopf.OperatorRegistry()
    deleted = asyncio.Event()

    @kopf.on.create("configmaps", registry=registry)
    async def made(patch: kopf.Patch, **_: Any) -> None:
        patch["data"] = {"seen": "yes"}

    @kopf.on.delete("configmaps", registry=registry)
    async def gone(**_: Any) -> None:
        deleted.set()

    async with operating(served, registry), asyncio.timeout(30):
        await served.local.create(CONFIG_MAP, {"metadata": {"name": "a"}}, "default")
        async for event in served.local.watch(CONFIG_MAP, "default", resource_version="1"):
            if event.object.get("data") == {"seen": "yes"}:
                break
        assert event.object["metadata"]["finalizers"] == ["kopf.zalando.org/KopfFinalizerMarker"]
        await served.local.delete(CONFIG_MAP, "a", "default")
        async for event in served.local.watch(CONFIG_MAP, "default", resource_version="1"):
            if event.type == "DELETED":
                break
        assert deleted.is_set()


async def test_an_operator_of_its_own_kind(served: Served) -> None:
    registry = kopf.OperatorRegistry()
    deleted = asyncio.Event()

    @kopf.on.create("example.com", "v1", "widgets", id="made", registry=registry)
    async def made(spec: kopf.Spec, **_: Any) -> dict[str, Any]:
        return {"doubled": spec["size"] * 2}

    @kopf.on.delete("example.com", "v1", "widgets", registry=registry)
    async def gone(**_: Any) -> None:
        deleted.set()

    keeps = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": SPEC, "status": keeps}}}
    await served.local.create(CUSTOM_RESOURCE_DEFINITION, widgets(version(schema=schema)))
    kind = kind_of(served)
    async with operating(served, registry), asyncio.timeout(30):
        await served.local.create(kind, widget("w", size=3), "default")
        async for event in served.local.watch(kind, "default", resource_version="1"):
            if event.object.get("status", {}).get("made") == {"doubled": 6}:
                break
        await served.local.delete(kind, "w", "default")
        async for event in served.local.watch(kind, "default", resource_version="1"):
            if event.type == "DELETED":
                break
        assert deleted.is_set()
