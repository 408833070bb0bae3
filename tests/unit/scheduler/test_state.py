"""Requests, the cache of assumed pods, and the queue."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from controlplane.api.types import Object
from controlplane.scheduler import queue as queue_module
from controlplane.scheduler.cache import Cache
from controlplane.scheduler.framework import ClusterEvent
from controlplane.scheduler.plugins.node_resources_fit import NodeResourcesFit
from controlplane.scheduler.plugins.node_unschedulable import NodeUnschedulable
from controlplane.scheduler.queue import SchedulingQueue
from controlplane.scheduler.resources import pod_requests, score_requests
from tests.unit.scheduler.cluster import pod


def container(**requests: str) -> dict[str, Any]:
    return {"resources": {"requests": requests}}


def test_requests_of_containers_add_up_and_init_containers_run_one_by_one() -> None:
    spec: dict[str, Any] = {
        "containers": [container(cpu="100m", memory="1Gi"), container(cpu="200m")],
        "initContainers": [container(cpu="1"), container(memory="512Mi")],
        "overhead": {"cpu": "10m"},
    }
    assert pod_requests(spec) == {"cpu": 1010, "memory": 2**30}


def test_sidecars_run_beside_everything_that_follows() -> None:
    sidecar = {**container(cpu="300m"), "restartPolicy": "Always"}
    spec = {"containers": [container(cpu="500m")], "initContainers": [sidecar, container(cpu="600m")]}
    assert pod_requests(spec) == {"cpu": 900}


def test_limits_stand_in_for_requests_and_pod_level_requests_override() -> None:
    limited = {"containers": [{"resources": {"limits": {"cpu": "250m"}}}]}
    assert pod_requests(limited) == {"cpu": 250}
    assert pod_requests({**limited, "resources": {"requests": {"cpu": "1"}}}) == {"cpu": 1000}


def test_containers_that_ask_for_nothing_count_in_scores() -> None:
    spec = {"containers": [container(cpu="1"), container()]}
    assert score_requests(spec, pod_requests(spec)) == (1100, 2 * 200 * 2**20)


def wire_node(name: str) -> Object:
    return {"metadata": {"name": name}, "spec": {}, "status": {"allocatable": {"cpu": "1", "pods": "10"}}}


def test_an_assumed_pod_counts_until_it_is_forgotten_or_seen() -> None:
    cache = Cache()
    cache.set_node(wire_node("a"))
    first, second = pod("first", requests={"cpu": "300m"}), pod("second", requests={"cpu": "300m"})
    cache.assume(first, "a")
    cache.assume(second, "a")
    assert cache.nodes["a"].used["cpu"] == 600
    cache.forget(second.uid)
    assert cache.nodes["a"].used["cpu"] == 300
    cache.set_pod(first, "a")
    cache.forget(first.uid)
    assert cache.nodes["a"].used["cpu"] == 300
    cache.remove_pod(first.uid)
    assert cache.nodes["a"].used["cpu"] == 0


def test_pods_of_a_node_that_is_gone_are_kept_for_its_return() -> None:
    cache = Cache()
    cache.set_node(wire_node("a"))
    one = pod(requests={"cpu": "1"})
    cache.set_pod(one, "a")
    cache.remove_node("a")
    assert cache.available_nodes() == []
    cache.set_node(wire_node("a"))
    assert cache.nodes["a"].used["cpu"] == 1000
    cache.remove_node("a")
    cache.remove_pod(one.uid)
    assert cache.nodes == {}


async def next_of(queue: SchedulingQueue, within: float = 1.0) -> str:
    return (await asyncio.wait_for(queue.get(), within)).name


async def test_priority_first_then_order_of_arrival() -> None:
    queue = SchedulingQueue()
    for one in (pod("a"), pod("b"), pod("urgent", priority=5)):
        queue.set(one)
    assert [await next_of(queue) for _ in range(3)] == ["urgent", "a", "b"]


async def test_a_refused_pod_waits_for_an_event_that_can_help_and_for_its_backoff() -> None:
    queue = SchedulingQueue()
    queue.set(pod("a"))
    one = await queue.get()
    queue.refused(one, [NodeUnschedulable()])
    queue.happened(ClusterEvent.POD_GONE)
    with pytest.raises(TimeoutError):
        await next_of(queue, 0.35)
    queue.happened(ClusterEvent.NODE_SCHEDULABLE)
    assert await next_of(queue, 0.1) == "a"
    queue.refused(one, [NodeResourcesFit()])
    queue.happened(ClusterEvent.POD_GONE)
    with pytest.raises(TimeoutError):
        await next_of(queue, 0.1)
    assert await next_of(queue) == "a"


async def test_a_pod_that_goes_is_not_handed_out() -> None:
    queue = SchedulingQueue()
    gone = pod("gone")
    queue.set(gone)
    queue.set(pod("stays"))
    queue.remove(gone.uid)
    assert await next_of(queue) == "stays"
    assert len(queue) == 1


async def test_a_changed_spec_is_worth_a_try() -> None:
    queue = SchedulingQueue()
    queue.set(pod("a"))
    one = await queue.get()
    queue.refused(one, [NodeResourcesFit()])
    changed = {**one.pod, "spec": {**one.spec, "tolerations": [{"operator": "Exists"}]}}
    queue.set(type(one).of(changed))
    assert await next_of(queue) == "a"


async def test_a_pod_may_wait_for_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "LONGEST_BACKOFF_SECONDS", 0.0)
    queue = SchedulingQueue()
    waiting = pod("a")
    queue.set(waiting)
    for _ in range(1100):
        assert (await queue.get()).uid == waiting.uid
        queue.failed(waiting)
