"""The store: revisions, compare-and-swap, watch, history, compaction, restarts."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from controlplane.api.errors import Conflict, Expired, StorageError
from controlplane.store import Change, Key, Revision, Store, Watcher, open_store
from controlplane.store.database import Database

POD = Key("pods", "default", "a")


def pod(**content: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a"}, **content}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "state.db") as opened:
        yield opened


@asynccontextmanager
async def small_store(path: Path, **bounds: int) -> AsyncIterator[Store]:
    database = Database(path)
    opened = Store(database, **bounds)
    opened.start()
    yield opened
    await opened.stop()
    database.close()


async def put(store: Store, key: Key, document: dict[str, Any]) -> Revision:
    return await store.write(key, document, store.latest(key))


async def remove(store: Store, key: Key) -> Revision:
    latest = store.latest(key)
    assert latest is not None
    return await store.delete(key, latest.decode(), latest)


async def changes_of(watcher: Watcher, count: int) -> list[Change]:
    found: list[Change] = []
    async with asyncio.timeout(30):
        while len(found) < count:
            found += await watcher.take()
    return found


async def test_a_write_is_seen_only_after_its_commit(store: Store) -> None:
    watcher = store.watch("pods", after=store.revision)
    written = store.write(POD, pod(n=1), None)
    assert store.get(POD) is None
    assert store.latest(POD) is not None
    assert not watcher.pending
    revision = await written
    assert store.get(POD) is revision
    assert revision.document["metadata"]["resourceVersion"] == str(revision.number) == str(store.revision)
    assert [change.current for change in await watcher.take()] == [revision]


async def test_compare_and_swap_sees_what_is_staged(store: Store) -> None:
    first = store.write(POD, pod(n=1), None)
    with pytest.raises(Conflict):
        store.write(POD, pod(n=2), None)
    second = store.write(POD, pod(n=2), store.latest(POD))
    assert (await first).number < (await second).number
    found = store.get(POD)
    assert found is not None
    assert found.document["n"] == 2


async def test_lists_are_ordered_and_narrowed_by_namespace(store: Store) -> None:
    for namespace, name in (("b", "x"), ("a", "z"), ("a", "y")):
        await put(store, Key("pods", namespace, name), pod())
    await put(store, Key("nodes", "", "n"), pod())
    assert [r.key[1:] for r in store.objects("pods")] == [("a", "y"), ("a", "z"), ("b", "x")]
    assert [r.key.name for r in store.objects("pods", "a")] == ["y", "z"]
    assert store.count("pods") == 3


async def test_a_watch_from_the_past_replays_then_follows(store: Store) -> None:
    start = (await put(store, POD, pod(n=1))).number
    await put(store, POD, pod(n=2))
    await remove(store, POD)
    watcher = store.watch("pods", after=start)
    await put(store, POD, pod(n=3))
    changes = await changes_of(watcher, 3)
    assert [(change.deleted, change.previous is None) for change in changes] == [
        (False, False),
        (True, False),
        (False, True),
    ]
    assert changes[1].current.document["n"] == 2
    assert changes[1].current.number > changes[0].current.number


async def test_a_watch_of_one_namespace_hears_of_no_other(store: Store) -> None:
    watcher = store.watch("pods", "a", after=store.revision)
    await put(store, Key("pods", "b", "x"), pod())
    await put(store, Key("pods", "a", "x"), pod())
    assert [change.current.key.namespace for change in await changes_of(watcher, 1)] == ["a"]


async def test_a_slow_watcher_is_dropped_and_holds_nobody_up(store: Store) -> None:
    slow = store.watch("pods", after=store.revision, bound=2)
    quick = store.watch("pods", after=store.revision)
    for number in range(4):
        await put(store, POD, pod(n=number))
    assert len(await quick.take()) == 4
    assert [change.current.document["n"] for change in await slow.take()] == [0, 1]
    with pytest.raises(Expired):
        await slow.take()


async def test_watches_end_when_the_store_stops(tmp_path: Path) -> None:
    async with open_store(tmp_path / "state.db") as store:
        watcher = store.watch("pods", after=0)
        waiting = asyncio.ensure_future(watcher.take())
        await asyncio.sleep(0)
    assert await waiting == []
    assert watcher.closed


async def test_forgotten_history_is_expired(tmp_path: Path) -> None:
    async with small_store(tmp_path / "state.db", history_changes=2) as store:
        for number in range(4):
            await put(store, POD, pod(n=number))
        store.watch("pods", after=2)
        with pytest.raises(Expired, match="too old resource version: 1"):
            store.watch("pods", after=1)


async def test_a_revision_of_another_store_is_expired(store: Store) -> None:
    with pytest.raises(Expired, match="too large resource version: 7, current: 0"):
        store.watch("pods", after=7)


async def test_history_is_bounded_in_bytes(tmp_path: Path) -> None:
    async with small_store(tmp_path / "state.db", history_bytes=10_000) as store:
        for number in range(10):
            await put(store, POD, pod(n=number, text="x" * 3000))
        assert store.oldest >= 7


async def test_a_past_list_is_what_it_was(store: Store) -> None:
    kept, gone, changed = (Key("pods", "default", name) for name in ("kept", "gone", "changed"))
    for key in (kept, gone, changed):
        await put(store, key, pod(n=1))
    past = store.revision
    await remove(store, gone)
    await put(store, changed, pod(n=2))
    await put(store, Key("pods", "default", "new"), pod(n=1))
    assert [(r.key.name, r.document["n"]) for r in store.objects_at("pods", "", past)] == [
        ("changed", 1),
        ("gone", 1),
        ("kept", 1),
    ]
    assert [r.key.name for r in store.objects("pods")] == ["changed", "kept", "new"]


async def test_a_restart_finds_everything_and_no_revision_twice(tmp_path: Path) -> None:
    async with open_store(tmp_path / "state.db") as store:
        await put(store, POD, pod(n=1))
        last = await remove(store, POD)
        await put(store, Key("pods", "default", "b"), pod(n=2))
        before = store.revision
    async with open_store(tmp_path / "state.db") as store:
        assert store.revision == before > last.number
        assert store.get(POD) is None
        assert [r.document["n"] for r in store.objects("pods")] == [2]
        again = await put(store, POD, pod(n=3))
        assert again.number == before + 1
        with pytest.raises(Expired):
            store.watch("pods", after=last.number)


async def test_compaction_keeps_the_live_and_the_revision(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with small_store(path, compact_every=50) as store:
        for number in range(120):
            await put(store, POD, pod(n=number))
            await put(store, Key("pods", "default", f"brief-{number}"), pod())
            await remove(store, Key("pods", "default", f"brief-{number}"))
        last = await put(store, Key("pods", "default", "last"), pod())
        await remove(store, last.key)
        before = store.revision
    with sqlite3.connect(path) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM revisions").fetchone()
    connection.close()
    assert rows < 120
    async with open_store(path) as store:
        assert store.revision == before
        assert [(r.key.name, r.document["n"]) for r in store.objects("pods")] == [("a", 119)]
        await put(store, last.key, pod(n=1))
        assert store.revision == before + 1


async def test_a_failed_commit_refuses_it_and_what_stands_on_it(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(store, POD, pod(n=0))
    original, entered, other = Database.append, asyncio.Event(), Key("pods", "default", "other")
    loop = asyncio.get_running_loop()

    def fail_once(self: Database, rows: Any) -> None:
        monkeypatch.setattr(Database, "append", original)
        asyncio.run_coroutine_threadsafe(_stage_more(), loop).result(2)
        raise StorageError("the disk is on fire")

    later: list[asyncio.Future[Revision]] = []

    async def _stage_more() -> None:
        later.append(store.write(POD, pod(n=2), store.latest(POD)))
        later.append(store.write(other, pod(n=9), None))
        entered.set()

    monkeypatch.setattr(Database, "append", fail_once)
    watcher = store.watch("pods", after=store.revision)
    with pytest.raises(StorageError, match="on fire"):
        await put(store, POD, pod(n=1))
    with pytest.raises(StorageError, match="on fire"):
        await later[0]
    assert (await later[1]).document["n"] == 9
    found = store.get(POD)
    assert found is not None
    assert found.document["n"] == 0
    assert store.latest(POD) is found
    await put(store, POD, pod(n=3))
    assert [change.current.document["n"] for change in await changes_of(watcher, 2)] == [9, 3]


async def test_a_bug_in_the_writer_refuses_the_write_and_the_store_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = Database.append

    def break_once(self: Database, rows: Any) -> None:
        monkeypatch.setattr(Database, "append", original)
        raise RuntimeError("never thought of")

    monkeypatch.setattr(Database, "append", break_once)
    with pytest.raises(StorageError, match="never thought of"):
        await put(store, POD, pod(n=1))
    await put(store, POD, pod(n=2))


async def test_a_second_process_cannot_open_the_file(tmp_path: Path) -> None:
    async with open_store(tmp_path / "state.db") as store:
        await put(store, POD, pod())
        with pytest.raises(StorageError, match="another process has it open"):
            await asyncio.to_thread(Database, tmp_path / "state.db")


async def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StorageError, match=f"{path} cannot be opened"):
        await asyncio.to_thread(Database, path)


async def test_decoded_objects_are_shared_by_watchers(store: Store) -> None:
    watchers = [store.watch("pods", after=store.revision) for _ in range(2)]
    await put(store, POD, pod(n=1))
    first, second = [(await watcher.take())[0].current.document for watcher in watchers]
    assert first is second
