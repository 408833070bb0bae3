"""A whole API in process, the controllers under test on it, and a kubelet that only says Running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import DEPLOYMENT, EVENT, NODE, POD
from controlplane.api.meta import timestamp
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers
from controlplane.client.local import LocalClient
from controlplane.server.assembly import open_registry
from controlplane.server.registry import Registry

Result = TypeVar("Result")


class Component(Protocol):
    async def run(self) -> None: ...


class Kubelet:
    """Stands in for every node's hardware: bound pods run and are ready at once, deleted ones end at once.

    Pods whose names are in `broken` run and never become ready; while `ends` is false nothing ends.
    """

    def __init__(self, client: LocalClient, informers: Informers) -> None:
        self._client = client
        self._pods = informers.of(POD)
        self._tasks: set[asyncio.Task[None]] = set()
        self._address = 0
        self.broken: Callable[[Object], bool] = lambda pod: False
        self.ends = True

    async def run(self) -> None:
        await self._pods.wait_synced()
        self._pods.add_handler(self._changed)
        await asyncio.Event().wait()

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is None or not new["spec"].get("nodeName"):
            return
        if "deletionTimestamp" in new["metadata"]:
            if self.ends:
                self._start(self._end(new))
        elif (new.get("status") or {}).get("phase", "Pending") == "Pending":
            self._start(self._run(new))

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, pod: Object) -> None:
        self._address += 1
        ready = "False" if self.broken(pod) else "True"
        status = {
            "phase": "Running",
            "podIP": f"10.44.{self._address // 250}.{self._address % 250 + 2}",
            "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": timestamp()}],
        }
        try:
            await self._client.patch(
                POD,
                pod["metadata"]["name"],
                pod["metadata"]["namespace"],
                body={"status": status},
                patch_type="strategic",
                subresource="status",
            )
        except NotFound:
            return

    async def _end(self, pod: Object) -> None:
        metadata = pod["metadata"]
        try:
            await self._client.delete(
                POD, metadata["name"], metadata["namespace"], grace_period_seconds=0, uid=metadata["uid"]
            )
        except (NotFound, Conflict):
            return


class World:
    """The client, the informers, and shorthand for what tests do with them."""

    def __init__(self, registry: Registry, group: asyncio.TaskGroup) -> None:
        self.registry = registry
        self.client = LocalClient(registry)
        self.informers = Informers(self.client)
        self.kubelet = Kubelet(self.client, self.informers)
        self._group = group
        self._tasks = [group.create_task(self.informers.run())]

    def run(self, *components: Component) -> list[asyncio.Task[None]]:
        """Runs components until the test ends."""
        tasks = [self._group.create_task(component.run()) for component in components]
        self._tasks += tasks
        return tasks

    async def stop(self) -> None:
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def until(self, observe: Callable[[], Awaitable[Result]], *, within: float = 60.0) -> Result:
        """The first truthy result of `observe`; AssertionError, NotFound and KeyError in it count as not yet."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + within
        while True:
            seen: object
            try:
                seen = value = await observe()
                if value:
                    return value
            except (AssertionError, NotFound, KeyError) as error:
                seen = error
            if loop.time() > deadline:
                raise AssertionError(f"not within {within} s; last: {seen}")
            await asyncio.sleep(0.01)

    async def add_nodes(self, count: int, *, cpu: str = "8", pods: str = "110", **labels: str) -> list[Object]:
        """Ready nodes node-1…"""
        return [await self.add_node(f"node-{n + 1}", cpu=cpu, pods=pods, **labels) for n in range(count)]

    async def add_node(self, name: str, *, cpu: str = "8", pods: str = "110", **labels: str) -> Object:
        amounts = {"cpu": cpu, "memory": "16Gi", "ephemeral-storage": "50Gi", "pods": pods}
        node = {"metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **labels}}}
        await self.client.create(NODE, node)
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": timestamp()}
        number = int(name.rpartition("-")[2])
        status = {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [ready],
            "addresses": [{"type": "InternalIP", "address": f"10.128.0.{10 + number}"}],
        }
        return await self.client.patch(NODE, name, body={"status": status}, subresource="status")

    async def items(self, kind: Kind, namespace: str = "", **selectors: str) -> list[Object]:
        return (await self.client.list(kind, namespace, **selectors)).items

    async def messages(self, reason: str) -> list[str]:
        """The messages of the events with that reason, oldest first."""
        return [event["message"] for event in await self.items(EVENT) if event["reason"] == reason]

    async def set_replicas(self, name: str, replicas: int) -> None:
        await self.client.patch(DEPLOYMENT, name, "default", body={"spec": {"replicas": replicas}})

    async def set_image(self, name: str, image: str) -> None:
        body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}}
        await self.client.patch(DEPLOYMENT, name, "default", body=body, patch_type="strategic")


def pod_spec(image: str = "web:1", **more: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": image}], **more}


def template(app: str, image: str = "web:1", **more: Any) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": app}}, "spec": pod_spec(image, **more)}


def deployment(name: str, replicas: int, image: str = "web:1", **spec: Any) -> Object:
    return {
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": template(name, image),
            **spec,
        },
    }


def replica_set(name: str, replicas: int, **spec: Any) -> Object:
    return deployment(name, replicas, **spec)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_registry(tmp_path / "state.db") as registry:
        group = asyncio.TaskGroup()
        async with group:
            world = World(registry, group)
            try:
                yield world
            finally:
                await world.stop()
