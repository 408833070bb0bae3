"""The recent changes, in order, bounded by count and by bytes.

A watch that asks for a revision in here replays from it; one that asks for an older one gets
Expired and lists again. Lists at a past revision are made by undoing changes from the present.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator

from controlplane.store.revision import Change

TRIM_AT = 1024
"""Dropped changes are removed from the front of the list this many at a time."""


class History:
    """Changes after revision `floor`; whatever happened up to `floor` is forgotten."""

    def __init__(self, floor: int, *, max_changes: int, max_bytes: int) -> None:
        self.floor = floor
        self._changes: list[Change | None] = []
        self._numbers: list[int] = []
        self._start = 0
        self._bytes = 0
        self._max_changes = max_changes
        self._max_bytes = max_bytes

    def append(self, change: Change) -> None:
        """Takes in the newest change and forgets the oldest ones beyond the bounds."""
        self._changes.append(change)
        self._numbers.append(change.current.number)
        self._bytes += len(change.current.data)
        while self._bytes > self._max_bytes or len(self._changes) - self._start > self._max_changes:
            self._drop_oldest()
        if self._start >= TRIM_AT:
            del self._changes[: self._start], self._numbers[: self._start]
            self._start = 0

    def after(self, number: int) -> Iterator[Change]:
        """The changes after revision `number`, oldest first; `number` is at least `floor`."""
        for index in range(bisect_right(self._numbers, number, self._start), len(self._changes)):
            change = self._changes[index]
            assert change is not None
            yield change

    def _drop_oldest(self) -> None:
        oldest = self._changes[self._start]
        assert oldest is not None
        self._changes[self._start] = None
        self._start += 1
        self._bytes -= len(oldest.current.data)
        self.floor = oldest.current.number
