"""Listing and then watching under concurrent writers: readers who come and go see each change once, in order."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import aiohttp

from controlplane.api.errors import ApiError
from controlplane.api.kinds import CONFIG_MAP
from tests.api.conftest import Served

MAPS = "/api/v1/namespaces/default/configmaps"
WRITERS, WRITES, NAMES = 8, 60, 6
LABEL = "app=x"

State = dict[str, str]
"""Name to resourceVersion of what is there."""


async def write(served: Served, seed: int) -> None:
    """Creates, changes, labels and deletes objects that other writers use too; who comes too late is refused."""
    pick = random.Random(seed)
    for number in range(WRITES):
        name = f"m{pick.randrange(NAMES)}"
        labels = {"app": pick.choice("xy")}
        try:
            match pick.choice(("create", "patch", "patch", "delete")):
                case "create":
                    await served.local.create(CONFIG_MAP, {"metadata": {"name": name, "labels": labels}}, "default")
                case "patch":
                    body: Any = {"metadata": {"labels": labels}, "data": {"n": f"{seed}-{number}"}}
                    await served.local.patch(CONFIG_MAP, name, "default", body=body)
                case _:
                    await served.local.delete(CONFIG_MAP, name, "default")
        except ApiError as error:
            assert error.code in (404, 409)  # noqa: PT017 - the race is the point
        if pick.random() < 0.2:
            await asyncio.sleep(0)


async def read(session: aiohttp.ClientSession, selector: str, seed: int, done: asyncio.Event) -> State:
    """Lists, and then watches in pieces of random length, each from where the last stopped; the state at the end."""
    pick = random.Random(seed)
    async with session.get(MAPS, params={"labelSelector": selector}) as response:
        listed = await response.json()
    state = {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in listed["items"]}
    version = listed["metadata"]["resourceVersion"]
    while True:
        ended = done.is_set()
        bound = pick.randrange(1, 40) if not ended else 10_000
        query = {"watch": "1", "labelSelector": selector, "resourceVersion": version, "timeoutSeconds": "1"}
        seen = 0
        async with session.get(MAPS, params=query) as response:
            async for line in response.content:
                version = take(json.loads(line), state, version)
                seen += 1
                if seen == bound:
                    break
        if ended and seen < bound:
            return state


def take(event: dict[str, Any], state: State, version: str) -> str:
    """Brings the state forward; what is lost, repeated or out of order contradicts it."""
    metadata = event["object"]["metadata"]
    name, new = metadata["name"], metadata["resourceVersion"]
    assert int(new) > int(version), (event, version)
    match event["type"]:
        case "ADDED":
            assert name not in state, event
            state[name] = new
        case "MODIFIED":
            assert name in state, event
            state[name] = new
        case "DELETED":
            assert state.pop(name, None) is not None, event
        case _:
            raise AssertionError(event)
    return str(new)


async def test_readers_lose_nothing_and_see_nothing_twice(served: Served, session: aiohttp.ClientSession) -> None:
    done = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        readers = [
            group.create_task(read(session, selector, seed, done)) for seed, selector in enumerate(["", LABEL] * 3)
        ]
        writers = [group.create_task(write(served, seed)) for seed in range(WRITERS)]
        await asyncio.gather(*writers)
        done.set()
    for selector, reader in zip(["", LABEL] * 3, readers, strict=True):
        present = await served.local.list(CONFIG_MAP, "default", label_selector=selector)
        assert reader.result() == {one["metadata"]["name"]: one["metadata"]["resourceVersion"] for one in present.items}
