"""Small guards between a controller, its cache and its queue.

`Throttle` lets the first request for a key through at once and the following ones at most every
few milliseconds, so that a burst of a hundred changes costs a few reconciles and a single change
costs no delay. `Expectations` remembers writes that the cache has not shown yet, so that a
reconcile that reads the cache never repeats them. `Backoff` spaces repeated attempts out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable
from typing import Generic, TypeVar

from controlplane.api.types import Object
from controlplane.client.informer import ObjectKey, key_of
from controlplane.client.workqueue import WorkQueue

Key = TypeVar("Key", bound=Hashable)

REMEMBERED_KEYS = 4096
EXPECTATION_SECONDS = 300.0
"""How long an unseen write holds a key back (upstream's ExpectationsTimeout)."""
STALE_SECONDS = 5.0


class Throttle(Generic[Key]):
    """Passes keys on to `queue`, each key at most once every `seconds`."""

    def __init__(self, queue: WorkQueue[Key], seconds: float) -> None:
        self._queue = queue
        self._seconds = seconds
        self._last: dict[Key, float] = {}
        self._waiting: set[Key] = set()

    def add(self, key: Key) -> None:
        """Asks for a reconcile of `key`: now, or when its interval is over."""
        if key in self._waiting:
            return
        loop = asyncio.get_running_loop()
        now = loop.time()
        due = self._last.get(key, 0.0) + self._seconds
        if due <= now:
            self._pass_on(key, now)
            return
        self._waiting.add(key)
        loop.call_at(due, self._release, key)

    def rest(self, key: Key, seconds: float) -> None:
        """Has the next reconcile of `key` not begin before `seconds` from now, for one that takes long."""
        if seconds > self._seconds:
            self._last[key] = asyncio.get_running_loop().time() + seconds - self._seconds

    def _release(self, key: Key) -> None:
        self._waiting.discard(key)
        self._pass_on(key, asyncio.get_running_loop().time())

    def _pass_on(self, key: Key, now: float) -> None:
        if len(self._last) >= REMEMBERED_KEYS:
            self._last = {k: at for k, at in self._last.items() if at + self._seconds > now}
        self._last[key] = now
        self._queue.add(key)


class Expectations:
    """Per owner, the creations and deletions that the cache has still to show."""

    def __init__(self) -> None:
        self._unseen: dict[str, dict[str, float]] = {}

    def expect(self, owner: str, token: str) -> None:
        """Holds `owner` back until `token` (a pod's name created, a uid deleted) is seen."""
        self._unseen.setdefault(owner, {})[token] = time.monotonic() + EXPECTATION_SECONDS

    def seen(self, owner: str, token: str) -> None:
        unseen = self._unseen.get(owner)
        if unseen is not None:
            unseen.pop(token, None)
            if not unseen:
                del self._unseen[owner]

    def satisfied(self, owner: str) -> bool:
        """Whether the cache shows everything done for `owner`, or has had time enough to."""
        unseen = self._unseen.get(owner)
        return not unseen or max(unseen.values()) < time.monotonic()

    def forget(self, owner: str) -> None:
        self._unseen.pop(owner, None)


class Freshness:
    """Tells a cached object that is older than the controller's own last write of it."""

    def __init__(self) -> None:
        self._written: dict[ObjectKey, tuple[str, int, float]] = {}

    def wrote(self, obj: Object) -> None:
        """Notes what a write returned."""
        metadata = obj["metadata"]
        until = time.monotonic() + STALE_SECONDS
        self._written[key_of(obj)] = (metadata["uid"], int(metadata["resourceVersion"]), until)

    def is_stale(self, key: ObjectKey, cached: Object | None) -> bool:
        """Whether `cached` is behind the last write; the informer's event for it is still to come."""
        written = self._written.get(key)
        if written is None:
            return False
        uid, version, until = written
        if time.monotonic() < until:
            if cached is None:
                return True
            metadata = cached["metadata"]
            if metadata["uid"] == uid and int(metadata["resourceVersion"]) < version:
                return True
        del self._written[key]
        return False

    def gone(self, key: ObjectKey) -> None:
        """Notes that the cache has shown the object's end."""
        self._written.pop(key, None)


class Backoff(Generic[Key]):
    """Delays that double with each attempt, and begin anew after a time without one."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = first
        self._longest = longest
        self._attempts: dict[Key, tuple[float, float]] = {}

    def attempt(self, key: Key, now: float) -> float:
        """0 when `key` may try now, which counts as an attempt; else the seconds until it may."""
        delay, last = self._attempts.get(key, (0.0, now))
        if now - last > 2 * self._longest:
            delay = 0.0
        elif now < last + delay:
            return last + delay - now
        if len(self._attempts) >= REMEMBERED_KEYS:
            self._attempts.pop(next(iter(self._attempts)))
        self._attempts[key] = (min(delay * 2 or self._first, self._longest), now)
        return 0.0
