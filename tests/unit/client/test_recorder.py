"""Events: what is stored, how repetitions count, and that nothing about them can hurt the component."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from controlplane.api.kinds import EVENT, NAMESPACE, POD
from controlplane.api.types import Object
from controlplane.client.local import LocalClient
from controlplane.client.recorder import EventRecorder
from controlplane.server.assembly import open_registry


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[LocalClient]:
    async with open_registry(tmp_path / "state.db") as registry:
        yield LocalClient(registry)


@pytest.fixture
async def recorder(client: LocalClient) -> AsyncIterator[EventRecorder]:
    made = EventRecorder(client, "kubelet", "node-1")
    running = asyncio.ensure_future(made.run())
    yield made
    running.cancel()


async def events(client: LocalClient, until: Callable[[list[Object]], bool]) -> list[Object]:
    listed = await client.list(EVENT)
    async with asyncio.timeout(30):
        watch = client.watch(EVENT, resource_version=listed.resource_version)
        while not until(listed.items):
            await anext(watch)
            listed = await client.list(EVENT)
    return listed.items


async def pod(client: LocalClient) -> Object:
    body = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "x"}]}}
    return await client.create(POD, body, "default")


async def test_an_event_says_what_about_whom_and_by_whom(client: LocalClient, recorder: EventRecorder) -> None:
    about = await pod(client)
    recorder.event(about, "Normal", "Started", "Started container c", field_path="spec.containers{c}")
    (event,) = await events(client, lambda found: bool(found))
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": "default",
        "name": "web",
        "uid": about["metadata"]["uid"],
        "resourceVersion": about["metadata"]["resourceVersion"],
        "fieldPath": "spec.containers{c}",
    }
    assert event["source"] == {"component": "kubelet", "host": "node-1"}
    assert (event["type"], event["reason"], event["count"]) == ("Normal", "Started", 1)


async def test_repetitions_raise_the_count(client: LocalClient, recorder: EventRecorder) -> None:
    about = await pod(client)
    for _ in range(3):
        recorder.event(about, "Warning", "BackOff", "Back-off restarting failed container")
    (event,) = await events(client, lambda found: [one["count"] for one in found] == [3])
    assert event["lastTimestamp"] >= event["firstTimestamp"]


async def test_a_repetition_of_what_has_expired_starts_anew(client: LocalClient, recorder: EventRecorder) -> None:
    about = await pod(client)
    recorder.event(about, "Normal", "Pulled", "again")
    (event,) = await events(client, lambda found: bool(found))
    await client.delete(EVENT, event["metadata"]["name"], "default")
    recorder.event(about, "Normal", "Pulled", "again")
    (event,) = await events(client, lambda found: bool(found))
    assert event["count"] == 1


async def test_events_of_a_namespace_that_goes_are_dropped(client: LocalClient, recorder: EventRecorder) -> None:
    about = await pod(client)
    await client.create(NAMESPACE, {"metadata": {"name": "brief"}})
    await client.delete(NAMESPACE, "brief")
    gone = about | {"metadata": about["metadata"] | {"namespace": "brief"}}
    recorder.event(gone, "Normal", "Killing", "lost")
    recorder.event(about, "Normal", "Killing", "kept")
    (event,) = await events(client, lambda found: bool(found))
    assert event["message"] == "kept"


async def test_events_that_are_alike_are_combined(client: LocalClient, recorder: EventRecorder) -> None:
    about = await pod(client)
    for number in range(12):
        recorder.event(about, "Normal", "SuccessfulCreate", f"Created pod: web-{number}")
    found = await events(client, lambda found: max((one["count"] for one in found), default=0) == 3)
    assert len(found) == 10
    (combined,) = [one for one in found if one["count"] == 3]
    assert combined["message"] == "(combined from similar events): Created pod: web-11"
