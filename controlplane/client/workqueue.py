"""The queue and the loop that every reconciler runs on.

The contract is controller-runtime's: a key comes in, never an event; a key waits in the queue at
most once and is never worked on twice at the same time; a reconcile that raises is tried again
after an exponential delay; returning a number of seconds asks to be called again then.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import math
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from controlplane.api.errors import ApiError, Conflict, NotFound, namespace_terminates

log = logging.getLogger(__name__)

Key = TypeVar("Key", bound=Hashable)

FIRST_RETRY_SECONDS = 0.005
LONGEST_RETRY_SECONDS = 60.0
MOST_DOUBLINGS = 20
"""More than enough; a key may fail for days, and there is a largest number."""


class WorkQueue(Generic[Key]):
    """Keys that want a reconcile, each at most once, some of them only after a delay."""

    def __init__(self) -> None:
        self._ready: dict[Key, None] = {}
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._delayed: list[tuple[float, int, Key]] = []
        self._due: dict[Key, float] = {}
        self._sequence = 0
        self._wake = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, key: Key) -> None:
        """Asks for a reconcile of `key` as soon as a worker is free."""
        if key in self._working:
            self._again.add(key)
        elif key not in self._ready:
            self._ready[key] = None
            self._wake.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Asks for a reconcile of `key` in `seconds`; of several such requests the earliest counts."""
        if seconds <= 0:
            self.add(key)
            return
        due = asyncio.get_running_loop().time() + seconds
        if self._due.get(key, math.inf) <= due:
            return
        self._due[key] = due
        self._sequence += 1
        heapq.heappush(self._delayed, (due, self._sequence, key))
        self._arm()

    async def get(self) -> Key:
        """The next key; the caller owns it until `done`."""
        while not self._ready:
            self._wake.clear()
            await self._wake.wait()
        key = next(iter(self._ready))
        del self._ready[key]
        self._working.add(key)
        return key

    def done(self, key: Key) -> None:
        """Gives `key` back; if it was asked for meanwhile, it is ready again."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)

    def __len__(self) -> int:
        return len(self._ready) + len(self._working)

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_at(self._delayed[0][0], self._release_due)

    def _release_due(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        while self._delayed and self._delayed[0][0] <= now:
            due, _, key = heapq.heappop(self._delayed)
            if self._due.get(key) == due:
                del self._due[key]
                self.add(key)
        if self._delayed:
            self._arm()


class Reconciler(Generic[Key]):
    """Runs `reconcile(key)` for each key of its queue on a bounded number of workers."""

    def __init__(self, name: str, reconcile: Callable[[Key], Awaitable[float | None]], *, workers: int = 4) -> None:
        self.name = name
        self.queue: WorkQueue[Key] = WorkQueue()
        self._reconcile = reconcile
        self._workers = workers
        self._failures: dict[Key, int] = {}

    async def run(self) -> None:
        """Works until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number in range(self._workers):
                group.create_task(self._work(), name=f"{self.name}-{number}")

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                again = await self._reconcile(key)
            except Exception as error:  # noqa: BLE001 - the boundary: any failure means a later retry, never a dead worker
                self._retry(key, error)
            else:
                self._failures.pop(key, None)
                if again is not None:
                    self.queue.add_after(key, again)
            finally:
                self.queue.done(key)

    def _retry(self, key: Key, error: Exception) -> None:
        if isinstance(error, ApiError) and namespace_terminates(error):
            # What it was for goes too, and its going calls for the key again.
            self._failures.pop(key, None)
            return
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        delay = min(FIRST_RETRY_SECONDS * 2 ** min(failures, MOST_DOUBLINGS), LONGEST_RETRY_SECONDS)
        # What it wrote to may have gone since it was read; then the next attempt knows.
        passing = isinstance(error, Conflict) or (isinstance(error, NotFound) and not failures)
        level = logging.DEBUG if passing else logging.WARNING
        log.log(
            level, "reconcile failed", exc_info=error, extra={"reconciler": self.name, "key": str(key), "retry": delay}
        )
        self.queue.add_after(key, delay)
