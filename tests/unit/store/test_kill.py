"""kill -9 amid concurrent writes: what was acknowledged is there, nothing is half, revisions go on."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from controlplane.store import Key, open_store

WRITER = """
import asyncio, sys
from pathlib import Path
from controlplane.store import Key, open_store

async def write(store, worker):
    number = 0
    while True:
        number += 1
        key = Key("things", "", f"{worker}-{number % 5}")
        document = {"metadata": {"name": key.name}, "number": number, "text": "x" * 2000}
        revision = await store.write(key, document, store.latest(key))
        sys.stdout.write(f"{key.name} {number} {revision.number}\\n")
        sys.stdout.flush()

async def main():
    async with open_store(Path(sys.argv[1])) as store:
        await asyncio.gather(*(write(store, worker) for worker in range(20)))

asyncio.run(main())
"""


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    acknowledged: dict[str, tuple[int, int]] = {}
    lines = 0
    async for line in process.stdout:
        lines += 1
        if lines == 1000:
            process.send_signal(signal.SIGKILL)
        if not line.endswith(b"\n"):
            break
        name, number, revision = line.decode().split()
        acknowledged[name] = int(number), int(revision)
    await process.wait()
    assert lines >= 1000
    async with open_store(path) as store:
        assert store.revision >= max(revision for _, revision in acknowledged.values())
        for name, (number, revision) in acknowledged.items():
            found = store.get(Key("things", "", name))
            assert found is not None
            assert found.number >= revision
            assert found.document["number"] >= number
            assert len(found.document["text"]) == 2000
