"""What a list or watch selects, and a watch as its reader sees it.

A change of labels or fields moves an object into or out of a selection: then the watch says ADDED
or DELETED, whatever the store did.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import orjson

from controlplane.api.types import Kind, Object
from controlplane.server import versions
from controlplane.store import Change, Revision, Watcher

EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class Event:
    """One change as the watch's selection shows it."""

    type: EventType
    revision: Revision


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects of one name ("": any) that `matches`, None: all; the name needs no decoding."""

    name: str = ""
    matches: Callable[[Object], bool] | None = None

    def takes(self, revision: Revision) -> bool:
        """Whether the object, in this state, is selected."""
        if self.name and revision.key.name != self.name:
            return False
        return self.matches is None or self.matches(revision.document)


EVERYTHING = Selection()


class Watch:
    """A subscription with its selection; close it when done."""

    def __init__(self, watcher: Watcher, selection: Selection, kind: Kind) -> None:
        self._watcher = watcher
        self._selection = selection
        self._kind = kind

    @property
    def closed(self) -> bool:
        """Whether the store has ended the watch, because it stops."""
        return self._watcher.closed

    @property
    def pending(self) -> bool:
        """Whether there is something to take without waiting."""
        return self._watcher.pending

    async def take(self, seconds: float | None = None) -> list[Event]:
        """The next events, perhaps none of the changes concerned this watch; empty after `seconds` too.

        After an empty list with nothing pending the reader is up to date with the store. Raises
        Expired when the reader fell behind and was dropped.
        """
        changes = await self._watcher.take(seconds)
        if versions.is_remote(self._kind):
            states = [state for change in changes for state in (change.previous, change.current) if state is not None]
            await versions.prepare(self._kind, states)
        return self._events(changes)

    def _events(self, changes: Sequence[Change]) -> list[Event]:
        if self._selection is EVERYTHING:
            events = [Event(_plain_type(change), change.current) for change in changes]
        else:
            events = [event for change in changes if (event := self._select(change)) is not None]
        if self._kind.conversion is None:
            return events
        return [Event(event.type, versions.shown(self._kind, event.revision)) for event in events]

    def close(self) -> None:
        """Ends the subscription."""
        self._watcher.close()

    def _select(self, change: Change) -> Event | None:
        takes = self._selection.takes
        before = change.previous is not None and takes(change.previous)
        after = not change.deleted and takes(change.current)
        if after:
            return Event("MODIFIED" if before else "ADDED", change.current)
        if not before:
            return None
        return Event("DELETED", change.current if change.deleted else _as_it_was(change))


def _plain_type(change: Change) -> EventType:
    if change.deleted:
        return "DELETED"
    return "ADDED" if change.previous is None else "MODIFIED"


def _as_it_was(change: Change) -> Revision:
    """The last state that was selected, at the revision that took it out of the selection."""
    assert change.previous is not None
    number = change.current.number
    before = change.previous.document
    document = before | {"metadata": before["metadata"] | {"resourceVersion": str(number)}}
    return Revision(change.current.key, number, orjson.dumps(document), document)
