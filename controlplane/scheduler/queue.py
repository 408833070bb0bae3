"""The pods that wait for a node: ready to be tried, backing off, or parked until something changes.

A refused pod is parked under the plugins that refused it and is tried again when an event comes
that one of them said could help, not before its backoff is over; a pod that nothing woke is tried
again after a minute all the same.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field

from controlplane.scheduler.framework import ClusterEvent, FilterPlugin
from controlplane.scheduler.pod_info import PodInfo

FIRST_BACKOFF_SECONDS = 0.25
LONGEST_BACKOFF_SECONDS = 10.0
MOST_DOUBLINGS = 16
LONGEST_PARK_SECONDS = 60.0


@dataclass(slots=True, eq=False)
class _Waiting:
    pod: PodInfo
    attempts: int = 0
    refused_by: frozenset[FilterPlugin] = field(default_factory=frozenset)
    parked: bool = False
    queued: bool = False
    not_before: float = 0.0


class SchedulingQueue:
    """Pods by uid, handed out by priority and then in the order in which they came."""

    def __init__(self) -> None:
        self._pods: dict[str, _Waiting] = {}
        self._ready: list[tuple[int, int, str]] = []
        self._sequence = 0
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._pods)

    def set(self, pod: PodInfo) -> None:
        """Takes a pod in, or takes note of its new form, which may be one that fits."""
        waiting = self._pods.get(pod.uid)
        if waiting is None:
            waiting = self._pods[pod.uid] = _Waiting(pod)
            self._make_ready(waiting)
            return
        changed = waiting.pod.spec != pod.spec or waiting.pod.labels != pod.labels
        waiting.pod = pod
        if changed and waiting.parked:
            self._retry(waiting)

    def remove(self, uid: str) -> None:
        """Forgets a pod that went, or that got a node."""
        self._pods.pop(uid, None)

    async def get(self) -> PodInfo:
        """The next pod to try; it must be given to `refused`, or to `remove`, afterwards."""
        while True:
            while self._ready:
                waiting = self._pods.get(heapq.heappop(self._ready)[2])
                if waiting is not None and waiting.queued:
                    waiting.queued = False
                    waiting.attempts += 1
                    return waiting.pod
            self._wake.clear()
            await self._wake.wait()

    def refused(self, pod: PodInfo, plugins: Iterable[FilterPlugin]) -> None:
        """Parks a pod for which no node does."""
        waiting = self._pods.get(pod.uid)
        if waiting is None:
            return
        loop = asyncio.get_running_loop()
        waiting.parked = True
        waiting.refused_by = frozenset(plugins)
        backoff = min(FIRST_BACKOFF_SECONDS * 2 ** min(waiting.attempts - 1, MOST_DOUBLINGS), LONGEST_BACKOFF_SECONDS)
        waiting.not_before = loop.time() + backoff
        loop.call_later(LONGEST_PARK_SECONDS, self._park_is_over, pod.uid, waiting.attempts)

    def failed(self, pod: PodInfo) -> None:
        """Tries a pod again after its backoff: a binding could not be written."""
        self.refused(pod, ())
        waiting = self._pods.get(pod.uid)
        if waiting is not None:
            self._retry(waiting)

    def happened(self, event: ClusterEvent) -> None:
        """Wakes the parked pods that `event` may help; a pod that no plugin refused wakes on a new node."""
        for waiting in self._pods.values():
            if waiting.parked and self._may_help(waiting, event):
                self._retry(waiting)

    def retry(self, uid: str) -> None:
        """Tries a parked pod again, not before its backoff is over."""
        waiting = self._pods.get(uid)
        if waiting is not None and waiting.parked:
            self._retry(waiting)

    def _may_help(self, waiting: _Waiting, event: ClusterEvent) -> bool:
        if not waiting.refused_by:
            return event is ClusterEvent.NODE_ADDED
        return any(event in plugin.wakes_on for plugin in waiting.refused_by)

    def _park_is_over(self, uid: str, attempts: int) -> None:
        waiting = self._pods.get(uid)
        if waiting is not None and waiting.parked and waiting.attempts == attempts:
            self._retry(waiting)

    def _retry(self, waiting: _Waiting) -> None:
        waiting.parked = False
        loop = asyncio.get_running_loop()
        if waiting.not_before <= loop.time():
            self._make_ready(waiting)
        else:
            loop.call_at(waiting.not_before, self._backoff_is_over, waiting)

    def _backoff_is_over(self, waiting: _Waiting) -> None:
        if self._pods.get(waiting.pod.uid) is waiting:
            self._make_ready(waiting)

    def _make_ready(self, waiting: _Waiting) -> None:
        if waiting.queued:
            return
        waiting.queued = True
        self._sequence += 1
        heapq.heappush(self._ready, (-waiting.pod.priority, self._sequence, waiting.pod.uid))
        self._wake.set()
