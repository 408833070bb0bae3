"""The store: all live objects in memory as bytes, every write on disk before anybody sees it.

A write is staged on the event loop, where it gets its revision and where compare-and-swap sees all
that was staged before it. A writer thread commits everything staged in one transaction; nothing
waits artificially, so the batches grow with the load. Only after the commit do memory, watchers
and the caller learn of it. When a commit fails, its writes and those staged on top of them are
refused, and memory stays equal to the disk.

Not thread-safe: all methods are called on the loop that opened the store.
"""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from controlplane.api.errors import ApiError, Conflict, Expired, StorageError, TooManyRequests
from controlplane.store.database import Database
from controlplane.store.history import History
from controlplane.store.revision import Change, Document, Key, Revision, encoded
from controlplane.store.watcher import QUEUE_BOUND, Watcher
from controlplane.store.writer import Staged, Writer

HISTORY_CHANGES = 8192
HISTORY_BYTES = 16 << 20
DECODED_CHANGES = 1024
STAGED_BOUND = 20_000
SWITCH_SECONDS = 0.0005
COMPACT_EVERY = 4096
"""Revisions between two compactions of the file."""


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Store]:
    """The store in the file `path`, made if absent; StorageError when it cannot be opened.

    Shortens the interpreter's switch interval for the whole process: the writer needs the lock
    about three times for a batch, and beside a busy loop would wait 5 ms for it each time.
    """
    sys.setswitchinterval(min(SWITCH_SECONDS, sys.getswitchinterval()))
    database = await asyncio.to_thread(Database, path)
    try:
        store = await asyncio.to_thread(Store, database)
        store.start()
        try:
            yield store
        finally:
            await store.stop()
    finally:
        await asyncio.to_thread(database.close)


class Store:
    """Objects by resource, namespace and name; see the module for how a write goes."""

    def __init__(
        self,
        database: Database,
        *,
        history_changes: int = HISTORY_CHANGES,
        history_bytes: int = HISTORY_BYTES,
        compact_every: int = COMPACT_EVERY,
    ) -> None:
        self._live: dict[str, dict[str, dict[str, Revision]]] = {}
        self._tombstones: dict[Key, int] = {}
        self._staged: dict[Key, Staged] = {}
        self._staged_count = 0
        self._watchers: dict[str, list[Watcher]] = {}
        self._recent: deque[Revision] = deque()
        self._compacted = database.compacted()
        self._compacting = False
        self._compact_every = compact_every
        self._revision = self._load(database)
        self._last_staged = self._revision
        self._history = History(self._revision, max_changes=history_changes, max_bytes=history_bytes)
        self.failure = ""
        """Why the last write was refused; empty when it was not."""
        self._writer = Writer(database, self._committed, self._refused, self._compaction_done)

    @property
    def revision(self) -> int:
        """The newest committed revision; it never goes back, over restarts neither."""
        return self._revision

    @property
    def oldest(self) -> int:
        """The oldest revision from which a watch can still start."""
        return self._history.floor

    def start(self) -> None:
        """Starts the writer thread; needs a running loop."""
        self._writer.start(asyncio.get_running_loop())

    async def stop(self) -> None:
        """Commits what is staged, ends every watch and stops the writer."""
        await self._writer.stop()
        for watchers in list(self._watchers.values()):
            for watcher in list(watchers):
                watcher.close()

    def get(self, key: Key) -> Revision | None:
        """The committed object."""
        return self._live.get(key.resource, {}).get(key.namespace, {}).get(key.name)

    def latest(self, key: Key) -> Revision | None:
        """The object as the next write will find it: as staged, else as committed."""
        staged = self._staged.get(key)
        if staged is not None:
            return None if staged.change.deleted else staged.change.current
        return self.get(key)

    def objects(self, resource: str, namespace: str = "") -> list[Revision]:
        """The committed objects of one namespace or of all, ordered by namespace, then name."""
        return list(self._ordered(self._live.get(resource, {}), namespace))

    def objects_at(self, resource: str, namespace: str, number: int) -> list[Revision]:
        """The objects as they were at revision `number`; Expired when that is no longer known."""
        self._check_known(number)
        if number == self._revision:
            return self.objects(resource, namespace)
        past: dict[Key, Revision | None] = {}
        for change in self._history.after(number):
            if change.current.key.resource == resource:
                past.setdefault(change.current.key, change.previous)
        live = {revision.key: revision for revision in self.objects(resource, namespace) if revision.key not in past}
        live |= {k: r for k, r in past.items() if r is not None and namespace in ("", k.namespace)}
        return [live[key] for key in sorted(live)]

    def count(self, resource: str, namespace: str = "") -> int:
        """How many objects `objects` would return."""
        spaces = self._live.get(resource, {})
        return len(spaces.get(namespace, ())) if namespace else sum(map(len, spaces.values()))

    def resources(self) -> list[str]:
        """The resources of which anything is stored."""
        return [resource for resource, spaces in self._live.items() if any(spaces.values())]

    def write(self, key: Key, document: Document, previous: Revision | None) -> asyncio.Future[Revision]:
        """Stages `document` as the state after `previous` (None: create); the future is done when it is on disk.

        The document now belongs to the store, which sets its resourceVersion. Conflict when
        `previous` is not what `latest` returns; the future fails with StorageError when the
        commit does.
        """
        return self._stage(key, document, previous, deleted=False)

    def delete(self, key: Key, document: Document, previous: Revision) -> asyncio.Future[Revision]:
        """Stages the deletion of `previous`; `document` is its last state, which watchers are shown."""
        return self._stage(key, document, previous, deleted=True)

    def watch(self, resource: str, namespace: str = "", *, after: int, bound: int = QUEUE_BOUND) -> Watcher:
        """Subscribes to the changes after revision `after`; Expired when those are not known here.

        It subscribes and replays in one step of the loop, so nothing comes between.
        """
        self._check_known(after)
        watcher = Watcher(resource, namespace, bound=bound, forget=self._forget)
        self._watchers.setdefault(resource, []).append(watcher)
        if after < self._revision:
            for change in self._history.after(after):
                if change.current.key.resource == resource:
                    watcher.push(change)
        return watcher

    def end_watches(self, resource: str) -> None:
        """Ends every watch of `resource`, which is no more."""
        for watcher in tuple(self._watchers.get(resource, ())):
            watcher.close()

    def _load(self, database: Database) -> int:
        number = self._compacted
        for number, text, _, value in database.rows():
            key = Key.parse(text)
            if value is None:
                self._live.get(key.resource, {}).get(key.namespace, {}).pop(key.name, None)
                self._tombstones[key] = number
            else:
                spaces = self._live.setdefault(key.resource, {})
                spaces.setdefault(key.namespace, {})[key.name] = Revision(key, number, value)
                self._tombstones.pop(key, None)
        return max(number, self._compacted)

    def _check_known(self, number: int) -> None:
        if number < self._history.floor:
            raise Expired(f"too old resource version: {number} ({self._history.floor})")
        if number > self._revision:
            # The client has seen another store than this one, and has to list again as well.
            raise Expired(f"too large resource version: {number}, current: {self._revision}")

    @staticmethod
    def _ordered(spaces: dict[str, dict[str, Revision]], namespace: str) -> Iterator[Revision]:
        for space in (namespace,) if namespace else sorted(spaces):
            objects = spaces.get(space, {})
            for name in sorted(objects):
                yield objects[name]

    def _stage(
        self, key: Key, document: Document, previous: Revision | None, *, deleted: bool
    ) -> asyncio.Future[Revision]:
        if self.latest(key) is not previous:
            raise Conflict(f"{key.text()} has changed")
        if self._staged_count >= STAGED_BOUND:
            raise TooManyRequests("too many writes are waiting for the disk", details={"retryAfterSeconds": 1})
        number = self._last_staged + 1
        document["metadata"]["resourceVersion"] = str(number)
        current = Revision(key, number, encoded(document), document)
        change = Change(current, previous, deleted)
        before = self._staged.get(key)
        replaces = (
            before.change.current.number if before else previous.number if previous else self._tombstones.get(key, 0)
        )
        done: asyncio.Future[Revision] = asyncio.get_running_loop().create_future()
        staged = Staged(change, replaces, done)
        self._writer.submit(staged)
        self._last_staged = number
        self._staged[key] = staged
        self._staged_count += 1
        return done

    def _committed(self, batch: list[Staged]) -> None:
        self.failure = ""
        for staged in batch:
            self._apply(staged.change)
            if not staged.done.done():
                staged.done.set_result(staged.change.current)
            self._unstage(staged)
        while len(self._recent) > DECODED_CHANGES:
            self._recent.popleft().age()
        if not self._compacting and self._revision - self._compacted > self._compact_every:
            self._compacting = True
            self._writer.compact(self._compacted, self._revision)

    def _apply(self, change: Change) -> None:
        key, current = change.current.key, change.current
        spaces = self._live.setdefault(key.resource, {})
        if change.deleted:
            del spaces[key.namespace][key.name]
            if not spaces[key.namespace]:
                del spaces[key.namespace]
            self._tombstones[key] = current.number
        else:
            spaces.setdefault(key.namespace, {})[key.name] = current
            if change.previous is None:
                self._tombstones.pop(key, None)
        self._revision = current.number
        self._recent.append(current)
        self._history.append(change)
        for watcher in tuple(self._watchers.get(key.resource, ())):
            watcher.push(change)

    def _refused(self, batch: list[Staged], error: ApiError) -> None:
        self.failure = error.message
        for staged in batch:
            if not staged.done.done():
                staged.done.set_exception(StorageError(error.message))
                staged.done.exception()  # retrieved here too: the caller may be gone
            self._unstage(staged)

    def _unstage(self, staged: Staged) -> None:
        self._staged_count -= 1
        if self._staged.get(staged.change.current.key) is staged:
            del self._staged[staged.change.current.key]

    def _compaction_done(self, compacted: int) -> None:
        self._compacting = False
        self._compacted = compacted
        self._tombstones = {key: number for key, number in self._tombstones.items() if number > compacted}

    def _forget(self, watcher: Watcher) -> None:
        watchers = self._watchers[watcher.resource]
        watchers.remove(watcher)
        if not watchers:
            del self._watchers[watcher.resource]
