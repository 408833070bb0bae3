"""The thread that puts staged writes on disk.

It takes everything that is staged, commits it in one transaction, reports to the loop, and takes
again. After a failed commit it waits until the loop has refused the batch and whatever was staged
on top of it, so that nothing is ever written over a state that does not exist.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from controlplane.api.errors import StorageError
from controlplane.store.database import Database
from controlplane.store.revision import Change, Revision

log = logging.getLogger(__name__)

BATCH_BOUND = 1024
COMPACT_STEP = 512
"""Revisions compacted between two batches, so that writers hardly notice."""


@dataclass(eq=False, slots=True)
class Staged:
    """A write on its way to the disk; `replaces` is the revision that its row names as previous."""

    change: Change
    replaces: int
    done: asyncio.Future[Revision]


class Writer:
    """Owns the database while it runs; the callbacks are called on the loop.

    The queue is a SimpleQueue because taking from it gets the interpreter lock back only once.
    """

    def __init__(
        self,
        database: Database,
        committed: Callable[[list[Staged]], None],
        refused: Callable[[list[Staged], StorageError], None],
        compacted: Callable[[int], None],
    ) -> None:
        self._database = database
        self._committed = committed
        self._refused = refused
        self._compacted = compacted
        self._queue: SimpleQueue[Staged | None] = SimpleQueue()
        self._stopping = False
        self._compaction: tuple[int, int] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._work, name="store-writer", daemon=True)

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the thread; callbacks go to `loop`."""
        self._loop = loop
        self._thread.start()

    async def stop(self) -> None:
        """Returns when everything submitted has been committed or refused, and the thread has ended."""
        self._stopping = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def submit(self, staged: Staged) -> None:
        """Hands over one write; called on the loop."""
        if self._stopping:
            raise StorageError("the store is shutting down")
        self._queue.put(staged)

    def compact(self, start: int, end: int) -> None:
        """Asks for the compaction of revisions after `start` up to `end`, between batches."""
        self._compaction = (start, end)
        self._queue.put(None)

    def _work(self) -> None:
        while True:
            batch = self._take()
            if batch:
                self._commit(batch)
            if self._compaction:
                self._compact_step()
            if self._stopping and self._queue.empty():
                return

    def _take(self) -> list[Staged]:
        """Everything that is staged; waits for something unless there is compaction to go on with."""
        batch: list[Staged] = []
        wait = self._compaction is None
        while len(batch) < BATCH_BOUND:
            try:
                staged = self._queue.get(block=wait)
            except Empty:
                break
            wait = False
            if staged is not None:
                batch.append(staged)
        return batch

    def _commit(self, batch: list[Staged]) -> None:
        rows = [
            (
                s.change.current.number,
                s.change.current.key.text(),
                s.replaces,
                None if s.change.deleted else s.change.current.data,
            )
            for s in batch
        ]
        assert self._loop is not None
        try:
            self._database.append(rows)
        except Exception as error:  # noqa: BLE001 - the boundary: without a writer every write would wait for ever
            failure = error if isinstance(error, StorageError) else StorageError(f"the store failed: {error!r}")
            refused = threading.Event()
            self._loop.call_soon_threadsafe(self._refuse, batch, failure, refused)
            refused.wait()
        else:
            self._loop.call_soon_threadsafe(self._committed, batch)

    def _refuse(self, batch: list[Staged], error: StorageError, refused: threading.Event) -> None:
        """On the loop: no write can be staged between the look at the queue and the refusal."""
        lost = {staged.change.current.number for staged in batch}
        for _ in range(self._queue.qsize()):
            staged = self._queue.get_nowait()
            if staged is not None and staged.replaces in lost:
                lost.add(staged.change.current.number)
                batch.append(staged)
            else:
                self._queue.put(staged)
        log.error("write refused", extra={"error": error.message, "writes": len(batch)})
        self._refused(batch, error)
        refused.set()

    def _compact_step(self) -> None:
        assert self._compaction is not None
        assert self._loop is not None
        start, target = self._compaction
        end = min(start + COMPACT_STEP, target)
        try:
            self._database.compact(start, end)
        except StorageError as error:
            log.warning("compaction put off", extra={"error": error.message})
            self._compaction = None
            self._loop.call_soon_threadsafe(self._compacted, start)
            return
        self._compaction = (end, target) if end < target else None
        if self._compaction is None:
            self._loop.call_soon_threadsafe(self._compacted, end)
