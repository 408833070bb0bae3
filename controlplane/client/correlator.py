"""Which events are the same, which are alike, and which are too many: client-go's event correlator.

Events that differ in nothing but time raise the count of one. Of more than nine events about one object that differ
only in their message, the rest become one, "(combined from similar events): ...". Beyond 25 events about one object
by one component, only one in five minutes is kept (k8s.io/client-go/tools/record/events_cache.go).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

SIMILAR = 10
"""From this many messages on they are combined."""
SIMILAR_SECONDS = 600.0
"""Messages older than this, counted from one to the next, are forgotten."""
BURST = 25
REFILL_SECONDS = 300.0
REMEMBERED = 4096
COMBINED = "(combined from similar events): "

Value = TypeVar("Value")


class Event(NamedTuple):
    """What tells one event from another; `field_path` narrows the object."""

    uid: str
    kind: str
    namespace: str
    name: str
    type: str
    reason: str
    message: str
    field_path: str = ""


class Correlated(NamedTuple):
    """How an event is to be stored: events of one key are one object, with this message."""

    key: Hashable
    message: str


@dataclass(slots=True)
class _Bucket:
    tokens: float
    filled: float


@dataclass(slots=True)
class _Similar:
    messages: set[str]
    last: float


class Remembered(Generic[Value]):
    """The entries that were used last: at most REMEMBERED, and none that was not used for `seconds`, by when it says
    nothing any more."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._entries: OrderedDict[Hashable, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: Hashable) -> Value | None:
        """The entry, if it is remembered."""
        found = self._entries.get(key)
        return found[1] if found is not None else None

    def keep(self, key: Hashable, value: Value, now: float) -> None:
        """Stores an entry as the newest."""
        self._entries[key] = (now, value)
        self._entries.move_to_end(key)
        while len(self) > REMEMBERED or next(iter(self._entries.values()))[0] < now - self._seconds:
            self._entries.popitem(last=False)

    def forget(self, key: Hashable) -> None:
        """Drops an entry."""
        self._entries.pop(key, None)


class Correlator:
    """The memory of one recorder."""

    def __init__(self) -> None:
        # A bucket is full again by then.
        self._buckets: Remembered[_Bucket] = Remembered(BURST * REFILL_SECONDS)
        self._similar: Remembered[_Similar] = Remembered(SIMILAR_SECONDS)

    def correlate(self, event: Event, now: float) -> Correlated | None:
        """How to store `event`, which happened `now` (epoch seconds); None for one too many."""
        if not self._has_token(event[:4], now):
            return None
        return self._aggregated(event, now)

    def _has_token(self, source: Hashable, now: float) -> bool:
        bucket = self._buckets.get(source) or _Bucket(BURST, now)
        bucket.tokens = min(BURST, bucket.tokens + max(0.0, now - bucket.filled) / REFILL_SECONDS)
        bucket.filled = now
        self._buckets.keep(source, bucket, now)
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def _aggregated(self, event: Event, now: float) -> Correlated:
        alike = event[:6]
        known = self._similar.get(alike)
        if known is None or now - known.last > SIMILAR_SECONDS:
            known = _Similar(set(), now)
        known.messages.add(event.message)
        known.last = now
        self._similar.keep(alike, known, now)
        if len(known.messages) < SIMILAR:
            return Correlated(event, event.message)
        known.messages.pop()
        return Correlated(alike, COMBINED + event.message)
