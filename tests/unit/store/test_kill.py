"""kill -9 amid 1,000 concurrent writers: what was acknowledged is there, nothing is half, revisions only go on."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from controlplane.store import Key, Store, open_store
from tests.unit.store.test_store import small_store

WRITERS = 1000
ACKNOWLEDGED = 2500
LIVES = 3
CYCLE = 4
"""Every so many writes of a writer are a deletion."""

WRITER = f"""
import asyncio, os, sys
from pathlib import Path
from controlplane.store import Key, open_store

async def write(store, worker):
    key = Key("things", "", str(worker))
    latest = store.latest(key)
    number = latest.document["number"] if latest else {CYCLE} * (store.revision + 1)
    while True:
        number += 1
        latest = store.latest(key)
        if number % {CYCLE} == 0:
            revision = await store.delete(key, latest.decode(), latest)
        else:
            document = {{"metadata": {{"name": key.name}}, "number": number, "text": "x" * 2000}}
            revision = await store.write(key, document, latest)
        os.write(1, f"{{worker}} {{number}} {{revision.number}}\\n".encode())

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        await asyncio.gather(*(write(store, worker) for worker in range({WRITERS})))

asyncio.run(main())
"""


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path, newest = tmp_path / "state.db", 0
    for _ in range(LIVES):
        acknowledged, first = await one_life(path)
        assert first > newest
        async with open_store(path) as store:
            newest = max(revision for _, revision in acknowledged.values())
            assert store.revision >= newest
            newest = store.revision
            for worker, (number, revision) in acknowledged.items():
                check(store, worker, number, revision)


async def one_life(path: Path) -> tuple[dict[str, tuple[int, int]], int]:
    """Runs writers in a process of their own until it is killed: the last number and revision that each was told,
    and the first revision of all."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged: dict[str, tuple[int, int]] = {}
    first = lines = 0
    async for line in process.stdout:
        lines += 1
        if lines == ACKNOWLEDGED:
            process.send_signal(signal.SIGKILL)
        if not line.endswith(b"\n"):
            break
        worker, number, revision = line.decode().split()
        first = first or int(revision)
        acknowledged[worker] = int(number), int(revision)
    assert await process.wait() == -signal.SIGKILL
    assert len(acknowledged) == WRITERS
    return acknowledged, first


def check(store: Store, worker: str, number: int, revision: int) -> None:
    """What is stored is the last write that was acknowledged, or the one that was under way; whole."""
    found = store.get(Key("things", "", worker))
    possible = {number, number + 1}
    if found is None:
        assert any(one % CYCLE == 0 for one in possible)
        return
    assert found.number >= revision
    assert found.document["number"] in possible
    assert found.document["number"] % CYCLE != 0
    assert len(found.document["text"]) == 2000


async def test_the_file_does_not_grow_under_churn(tmp_path: Path) -> None:
    sizes = []
    async with small_store(tmp_path / "state.db", compact_every=200) as store:
        key = Key("things", "", "a")
        for number in range(4000):
            document = {"metadata": {"name": "a"}, "number": number, "text": "x" * 2000}
            await store.write(key, document, store.latest(key))
            if number % 1000 == 999:
                sizes.append(size_of(tmp_path))
    # The log of the last commits is some MB; what was written is 8 MB and more.
    assert sizes[-1] < 1.3 * sizes[0], sizes
    assert size_of(tmp_path) < 2 << 20


def size_of(directory: Path) -> int:
    return sum(file.stat().st_size for file in directory.iterdir())
