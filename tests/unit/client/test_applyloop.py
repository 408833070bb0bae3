"""The loop of appliers: bursts become one sync, a failure is tried again, and idleness is a time to look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from controlplane.client import applyloop
from controlplane.client.applyloop import ApplyLoop, Pace
from netsim.errors import NetsimError

QUICK = Pace(debounce=0.0, pause_per_sync=0.0, longest_pause=0.0)
NEVER = 3600.0


class World:
    """What is asked for, what is applied, and what went on."""

    def __init__(self, *, pace: Pace = QUICK, check_seconds: float = NEVER) -> None:
        self.wanted = self.applied = 0
        self.syncs = self.checks = 0
        self.errors: list[NetsimError] = []
        self.retries: list[float] = []
        self.failures: list[tuple[str, float]] = []
        self.loop = ApplyLoop(pace, check_seconds, sync=self.sync, check=self.check, failed=self.failed)

    async def sync(self) -> None:
        self.syncs += 1
        wanted = self.wanted
        await asyncio.sleep(0)
        if self.errors:
            raise self.errors.pop()
        self.applied = wanted

    async def check(self) -> None:
        self.checks += 1

    async def failed(self, error: NetsimError, retry: float) -> None:
        self.failures.append((str(error), retry))

    def change(self) -> None:
        self.wanted += 1
        self.loop.wake.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    work = asyncio.ensure_future(world.loop.run())
    try:
        yield world
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def test_it_syncs_when_it_begins_and_after_each_change() -> None:
    async with running(World()) as world:
        await world.until(lambda: world.syncs == 1)
        world.change()
        await world.until(lambda: world.applied == 1)


async def test_a_change_while_it_syncs_is_not_lost() -> None:
    world = World()
    plain, changes = world.sync, iter([world.change])

    async def sync() -> None:
        for change in changes:
            asyncio.get_running_loop().call_soon(change)
        await plain()

    world.loop = ApplyLoop(QUICK, NEVER, sync=sync, check=world.check, failed=world.failed)
    async with running(world):
        await world.until(lambda: world.applied == world.wanted == 1)


async def test_a_burst_is_one_sync() -> None:
    async with running(World(pace=Pace(debounce=0.05, pause_per_sync=0.0, longest_pause=0.0))) as world:
        await world.until(lambda: world.syncs == 1)
        for _ in range(100):
            world.change()
        await world.until(lambda: world.applied == 100)
        assert world.syncs == 2


async def test_without_a_change_it_looks_and_then_syncs() -> None:
    async with running(World(check_seconds=0.001)) as world:
        await world.until(lambda: world.checks >= 2 and world.syncs >= 3)


async def test_failures_are_told_and_tried_again_ever_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applyloop, "FIRST_RETRY_SECONDS", 0.001)
    monkeypatch.setattr(applyloop, "LONGEST_RETRY_SECONDS", 0.004)
    world = World()
    world.errors, world.wanted = [NetsimError("refused")] * 4, 1
    async with running(world):
        await world.until(lambda: world.applied == 1)
        world.errors = [NetsimError("again")]
        world.change()
        await world.until(lambda: world.applied == 2)
    told = [("refused", 0.001), ("refused", 0.002), ("refused", 0.004), ("refused", 0.004), ("again", 0.001)]
    assert world.failures == told


async def test_a_failed_look_is_a_failure_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(applyloop, "FIRST_RETRY_SECONDS", 0.001)
    world = World()

    def failing() -> Callable[[], Awaitable[None]]:
        async def check() -> None:
            raise NetsimError("not to be looked at")

        return check

    world.loop = ApplyLoop(QUICK, 0.001, sync=world.sync, check=failing(), failed=world.failed)
    async with running(world):
        await world.until(lambda: len(world.failures) >= 2)
    assert {text for text, _ in world.failures} == {"not to be looked at"}
