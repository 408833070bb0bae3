"""Concurrent writers, in every order that hypothesis thinks of: nothing is lost, repeated or out of order."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from controlplane.api.errors import Conflict
from controlplane.store import Change, Key, Store, open_store

NAMES = ("a", "b")

Steps = list[tuple[str, str]]
writer_steps = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(["increment", "delete", "blind"])), min_size=1, max_size=8
)


@settings(max_examples=25, deadline=None)
@given(st.lists(writer_steps, min_size=2, max_size=4))
def test_list_then_watch_is_the_store(writers: list[Steps]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(_race(Path(directory), writers))


async def _race(directory: Path, writers: list[Steps]) -> None:
    async with open_store(directory / "state.db") as store:
        watcher = store.watch("things", after=store.revision)
        added = dict.fromkeys(NAMES, 0)
        await asyncio.gather(*(_write(store, steps, added) for steps in writers))
        changes = await watcher.take() if watcher.pending else []
        _check(store, changes, added)
        final = {r.key.name: r.document for r in store.objects("things")}
    async with open_store(directory / "state.db") as store:
        assert {r.key.name: r.document for r in store.objects("things")} == final


async def _write(store: Store, steps: Steps, added: dict[str, int]) -> None:
    for name, step in steps:
        key = Key("things", "", name)
        latest = store.latest(key)
        count = latest.decode()["count"] if latest else 0
        if step == "blind":
            await asyncio.sleep(0)
        document: dict[str, Any] = {"metadata": {"name": name}, "count": count + 1}
        try:
            if step == "delete" and latest:
                await store.delete(key, latest.decode(), latest)
            else:
                await store.write(key, document, latest)
                added[name] += 1
        except Conflict:
            assert step == "blind"


def _check(store: Store, changes: list[Change], added: dict[str, int]) -> None:
    numbers = [change.current.number for change in changes]
    assert numbers == sorted(set(numbers))
    state: dict[str, Change] = {}
    for change in changes:
        before = state.get(change.current.key.name)
        expected = None if before is None or before.deleted else before.current
        assert change.previous is expected
        state[change.current.key.name] = change
    live = {name: change.current for name, change in state.items() if not change.deleted}
    assert live == {r.key.name: r for r in store.objects("things")}
    written = sum(not change.deleted for change in changes)
    assert written == sum(added.values())
