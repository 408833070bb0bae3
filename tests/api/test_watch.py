"""Watches over HTTP: where they start, what they say, and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from controlplane.api.kinds import CONFIG_MAP
from controlplane.server import watch_stream
from tests.api.conftest import Served

MAPS = "/api/v1/namespaces/default/configmaps"


async def create(served: Served, name: str, size: int = 1) -> str:
    body = {"metadata": {"name": name}, "data": {"k": "x" * size}}
    made = await served.local.create(CONFIG_MAP, body, "default")
    return str(made["metadata"]["resourceVersion"])


async def events(session: aiohttp.ClientSession, **query: str) -> AsyncIterator[dict[str, Any]]:
    async with session.get(MAPS, params={"watch": "true"} | query) as response:
        assert response.status == 200
        async for line in response.content:
            yield json.loads(line)


async def some(session: aiohttp.ClientSession, count: int, **query: str) -> list[dict[str, Any]]:
    found = []
    async with asyncio.timeout(30):
        async for event in events(session, **query):
            found.append(event)
            if len(found) == count:
                return found
    return found


def shown(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in found]


async def test_from_a_version(session: aiohttp.ClientSession, served: Served) -> None:
    version = await create(served, "a")
    await create(served, "b")
    await served.local.delete(CONFIG_MAP, "a", "default")
    found = await some(session, 2, resourceVersion=version)
    assert shown(found) == [("ADDED", "b"), ("DELETED", "a")]


async def test_from_now_shows_what_is_there_first(session: aiohttp.ClientSession, served: Served) -> None:
    await create(served, "a")
    watching = asyncio.ensure_future(some(session, 2))
    await asyncio.sleep(0.1)
    await create(served, "b")
    assert shown(await watching) == [("ADDED", "a"), ("ADDED", "b")]


async def test_initial_events_end_with_a_marked_bookmark(session: aiohttp.ClientSession, served: Served) -> None:
    version = await create(served, "a")
    found = await some(
        session,
        2,
        sendInitialEvents="true",
        allowWatchBookmarks="true",
        resourceVersionMatch="NotOlderThan",
        resourceVersion="",
    )
    assert [event["type"] for event in found] == ["ADDED", "BOOKMARK"]
    assert found[1]["object"]["metadata"] == {
        "resourceVersion": version,
        "annotations": {"k8s.io/initial-events-end": "true"},
    }


async def test_it_ends_when_the_time_is_over(session: aiohttp.ClientSession, served: Served) -> None:
    version = await create(served, "a")
    assert await some(session, 99, resourceVersion=version, timeoutSeconds="1") == []


async def test_bookmarks_tell_how_far_it_has_come(
    session: aiohttp.ClientSession, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_stream, "BOOKMARK_SECONDS", 0.05)
    version = await create(served, "a")
    found = await some(session, 1, resourceVersion=version, allowWatchBookmarks="true")
    assert (found[0]["type"], found[0]["object"]["metadata"]["resourceVersion"]) == ("BOOKMARK", version)


async def test_a_version_that_is_forgotten(session: aiohttp.ClientSession, served: Served) -> None:
    served.registry.store._history.floor = served.registry.store.revision
    found = await some(session, 1, resourceVersion="1")
    assert (found[0]["type"], found[0]["object"]["code"], found[0]["object"]["reason"]) == ("ERROR", 410, "Expired")


async def test_a_reader_who_sleeps_holds_nobody_up(session: aiohttp.ClientSession, served: Served) -> None:
    version = str(served.registry.store.revision)
    query = {"watch": "true", "resourceVersion": version}
    async with session.get(MAPS, params=query) as sleeping:
        reading = asyncio.ensure_future(some(session, 200, resourceVersion=version))
        await asyncio.gather(*(create(served, f"m{number}", 50_000) for number in range(200)))
        assert len(await reading) == 200
        assert sleeping.status == 200


async def test_a_reader_who_sleeps_too_long_is_dropped(
    session: aiohttp.ClientSession, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = served.registry.store.watch
    monkeypatch.setattr(served.registry.store, "watch", lambda *args, **query: watch(*args, **query, bound=20))
    query = {"watch": "true", "resourceVersion": str(served.registry.store.revision)}
    async with session.get(MAPS, params=query) as sleeping:
        await asyncio.gather(*(create(served, f"m{number}", 200_000) for number in range(120)))
        found = [json.loads(line) async for line in unbounded(sleeping)]
    assert 20 <= len(found) < 121
    last = found[-1]
    assert (last["type"], last["object"]["code"], last["object"]["reason"]) == ("ERROR", 410, "Expired")


async def unbounded(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Lines of any length."""
    rest = b""
    async for chunk in response.content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line


async def test_a_table_watch_names_its_columns_once(session: aiohttp.ClientSession, served: Served) -> None:
    version = await create(served, "a")
    await create(served, "b")
    await create(served, "c")
    session.headers["Accept"] = "application/json;as=Table;v=v1;g=meta.k8s.io"
    first, second = await some(session, 2, resourceVersion=version)
    assert first["object"]["columnDefinitions"]
    assert not second["object"]["columnDefinitions"]
    assert [one["object"]["rows"][0]["cells"][0] for one in (first, second)] == ["b", "c"]


async def test_a_caller_who_leaves_is_no_error(
    session: aiohttp.ClientSession, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    async def leave() -> None:
        async with session.get(MAPS, params={"watch": "true"}) as response:
            await response.content.readline()
            response.close()

    await create(served, "first")
    for number in range(20):
        leaving = [asyncio.ensure_future(leave()) for _ in range(5)]
        while not all(task.done() for task in leaving):
            await create(served, f"map-{number}")
            await served.local.delete(CONFIG_MAP, f"map-{number}", "default")
        await asyncio.gather(*leaving)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
