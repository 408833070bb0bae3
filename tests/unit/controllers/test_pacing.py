"""The guards between a controller, its cache and its queue."""

from __future__ import annotations

import asyncio

from controlplane.client.workqueue import WorkQueue
from controlplane.controllers.pacing import Expectations, Freshness, Throttle


async def test_the_first_request_passes_at_once_and_a_burst_becomes_one_more() -> None:
    queue: WorkQueue[str] = WorkQueue()
    throttle = Throttle(queue, 0.5)
    began = asyncio.get_running_loop().time()
    throttle.add("a")
    assert await queue.get() == "a"
    queue.done("a")
    for _ in range(100):
        throttle.add("a")
    throttle.add("b")
    assert await queue.get() == "b"
    assert len(queue) == 1
    assert await asyncio.wait_for(queue.get(), 30) == "a"
    assert asyncio.get_running_loop().time() - began > 0.4
    queue.done("a")
    await asyncio.sleep(0.6)
    assert len(queue) == 1


def test_expectations_hold_back_until_all_is_seen() -> None:
    expectations = Expectations()
    assert expectations.satisfied("rs")
    expectations.expect("rs", "pod-1")
    expectations.expect("rs", "pod-2")
    expectations.seen("rs", "pod-1")
    expectations.seen("rs", "stranger")
    assert not expectations.satisfied("rs")
    assert expectations.satisfied("other")
    expectations.seen("rs", "pod-2")
    assert expectations.satisfied("rs")
    expectations.expect("rs", "pod-3")
    expectations.forget("rs")
    assert expectations.satisfied("rs")


def test_a_cached_object_older_than_the_own_write_is_stale() -> None:
    def obj(version: int, uid: str = "u") -> dict[str, object]:
        return {"metadata": {"namespace": "ns", "name": "a", "uid": uid, "resourceVersion": str(version)}}

    freshness, key = Freshness(), ("ns", "a")
    assert not freshness.is_stale(key, obj(1))
    freshness.wrote(obj(10))
    assert freshness.is_stale(key, obj(9))
    assert freshness.is_stale(key, None)
    assert not freshness.is_stale(key, obj(11))
    freshness.wrote(obj(12))
    assert not freshness.is_stale(key, obj(3, uid="another"))
    freshness.wrote(obj(12))
    freshness.gone(key)
    assert not freshness.is_stale(key, None)
