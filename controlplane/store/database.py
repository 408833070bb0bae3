"""The SQLite file: an append-only table of revisions, after kine.

The row id is the revision. The unique index over key and previous revision makes compare-and-swap
hold on disk too. Every method blocks, and is called by one thread at a time: first the one that
opens the store, then only its writer. WAL with synchronous=FULL: what COMMIT has returned for
survives kill -9 and power loss.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from controlplane.api.errors import StorageError

SCHEMA_VERSION = 1

SCHEMA = """
CREATE TABLE revisions (
    revision INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    previous INTEGER NOT NULL,
    value BLOB
);
CREATE UNIQUE INDEX compare_and_swap ON revisions (key, previous);
CREATE TABLE compaction (compacted INTEGER NOT NULL);
INSERT INTO compaction VALUES (0);
"""

WAL_KEPT_BYTES = 8 << 20
LOCK_SECONDS = 0.2
SINGLE_STATEMENT_ROWS = 16
CHUNKS = (64, 16, 4, 1)

Row = tuple[int, str, int, bytes | None]
"""Revision, key, revision that this one replaces (0 for none), encoded object (None: deleted)."""


class Database:
    """An open state file, locked against every other process."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._connection = self._open()
        except sqlite3.Error as error:
            raise self.translate(error, "cannot be opened") from error

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=64
        )
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={WAL_KEPT_BYTES}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            connection.executescript(f"BEGIN EXCLUSIVE; {SCHEMA} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise StorageError(f"{self.path} was written by another version of netsim (schema {version})")

    def rows(self) -> Iterator[Row]:
        """Every row that is kept, oldest first."""
        try:
            yield from self._connection.execute(
                "SELECT revision, key, previous, value FROM revisions ORDER BY revision"
            )
        except sqlite3.Error as error:
            raise self.translate(error, "cannot be read") from error

    def compacted(self) -> int:
        """The revision up to which superseded rows are gone; the store's revision is never below it."""
        (compacted,) = self._connection.execute("SELECT compacted FROM compaction").fetchone()
        return int(compacted)

    def append(self, rows: Sequence[Row]) -> None:
        """Commits all of `rows` or none; StorageError when they could not be made durable.

        A small batch is one statement, which is its own transaction: each call into SQLite gives
        up the interpreter lock, and getting it back from a busy event loop is what costs.
        """
        try:
            if len(rows) <= SINGLE_STATEMENT_ROWS:
                self._insert(rows)
                return
            self._connection.execute("BEGIN IMMEDIATE")
            start = 0
            for size in CHUNKS:
                while len(rows) - start >= size:
                    self._insert(rows[start : start + size])
                    start += size
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            raise self.translate(error, "did not take the write; nothing of it is stored") from error

    def compact(self, start: int, end: int) -> None:
        """Deletes what the revisions after `start` up to `end` superseded, and deletions among them."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute(
                "DELETE FROM revisions WHERE revision IN"
                " (SELECT previous FROM revisions WHERE revision > ? AND revision <= ?)",
                (start, end),
            )
            self._connection.execute(
                "DELETE FROM revisions WHERE revision > ? AND revision <= ? AND value IS NULL", (start, end)
            )
            self._connection.execute("UPDATE compaction SET compacted = ?", (end,))
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._rollback()
            raise self.translate(error, "could not be compacted") from error

    def close(self) -> None:
        """Checkpoints and closes; errors then have nobody left to matter to, the log is replayed at the next open."""
        self._connection.close()

    def translate(self, error: sqlite3.Error, what: str) -> StorageError:
        """What SQLite said, in words that tell what to do."""
        name = getattr(error, "sqlite_errorname", "")
        if name == "SQLITE_FULL":
            return StorageError(f"no space left on device: {self.path} {what}; free some space and try again")
        if name == "SQLITE_BUSY":
            return StorageError(f"{self.path} {what}: another process has it open")
        return StorageError(f"{self.path} {what}: {error} ({name or type(error).__name__})")

    def _insert(self, rows: Sequence[Row]) -> None:
        self._connection.execute(_insert_statement(len(rows)), [value for row in rows for value in row])

    def _rollback(self) -> None:
        # Where even this fails the connection is broken, and the next write is refused for that.
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


@lru_cache(maxsize=64)
def _insert_statement(rows: int) -> str:
    return "INSERT INTO revisions (revision, key, previous, value) VALUES " + ", ".join(["(?, ?, ?, ?)"] * rows)
