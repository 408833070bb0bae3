"""One subscription to the changes of one resource.

The queue is bounded. A watcher that does not keep up is dropped: its reader takes what was queued
until then, and next gets Expired; nobody else waits for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from controlplane.api.errors import Expired
from controlplane.store.revision import Change

QUEUE_BOUND = 8192


class Watcher:
    """Changes of `resource`, of one namespace or of all (""), in the order of their revisions."""

    def __init__(self, resource: str, namespace: str, *, bound: int, forget: Callable[[Watcher], None]) -> None:
        self.resource = resource
        self.namespace = namespace
        self._bound = bound
        self._forget = forget
        self._queue: deque[Change] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._dropped = False
        self._closed = False

    def push(self, change: Change) -> None:
        """Queues a change if it concerns this watcher; drops the watcher when its queue is full."""
        if self.namespace and change.current.key.namespace != self.namespace:
            return
        if len(self._queue) >= self._bound:
            self._dropped = True
            self.close()
            return
        self._queue.append(change)
        self._wake()

    async def take(self, seconds: float | None = None) -> list[Change]:
        """Every change queued, at least one; an empty list after `seconds`, or once closed.

        After an empty list the reader has seen everything up to the store's present revision.
        Raises Expired when the watcher was dropped.
        """
        if not self._queue and not self._closed:
            self._waiting = asyncio.get_running_loop().create_future()
            timer = asyncio.get_running_loop().call_later(seconds, self._wake) if seconds is not None else None
            try:
                await self._waiting
            finally:
                self._waiting = None
                if timer is not None:
                    timer.cancel()
        if not self._queue and self._dropped:
            raise Expired("too old resource version: the watch fell behind and was dropped")
        changes = list(self._queue)
        self._queue.clear()
        return changes

    @property
    def closed(self) -> bool:
        """Whether no further change will be queued."""
        return self._closed

    @property
    def pending(self) -> bool:
        """Whether `take` would return, or raise, without waiting for a change."""
        return bool(self._queue) or self._dropped

    def close(self) -> None:
        """Ends the subscription and wakes its reader; closing again does nothing."""
        if not self._closed:
            self._closed = True
            self._forget(self)
            self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
