"""Delayed requests of the queue that every controller runs on."""

from __future__ import annotations

import asyncio

from controlplane.client.workqueue import Reconciler, WorkQueue


async def test_of_several_delayed_requests_the_earliest_counts_and_only_that() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for seconds in (600.0, 0.05, 300.0):
        queue.add_after("late", seconds)
    began = asyncio.get_running_loop().time()
    for seconds in (0.3, 0.05, 0.2):
        queue.add_after("a", seconds)
    got = {await asyncio.wait_for(queue.get(), 30) for _ in range(2)}
    assert got == {"late", "a"}, "the earliest, not the last one that was asked for"
    assert asyncio.get_running_loop().time() - began > 0.04
    for key in got:
        queue.done(key)
    await asyncio.sleep(0.3)
    assert len(queue) == 0


async def test_a_reconcile_that_asks_to_be_called_again_is_one_chain_whatever_else_asks_for_it() -> None:
    calls = []

    async def reconcile(key: str) -> float:
        calls.append(key)
        return 0.1

    reconciler = Reconciler("test", reconcile, workers=1)
    task = asyncio.ensure_future(reconciler.run())
    for _ in range(10):
        reconciler.queue.add("a")
        await asyncio.sleep(0.005)
    asked = len(calls)
    await asyncio.sleep(0.35)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(calls) - asked <= 4
