"""A disk that fills up: the write is refused with its reason, the store stays whole and goes on when there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.api.errors import StorageError
from controlplane.store import Key, Store, open_store


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "netsim-test", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


async def put(store: Store, name: str) -> None:
    key = Key("things", "", name)
    await store.write(key, {"metadata": {"name": name}, "text": "x" * 20_000}, store.latest(key))


async def fill(store: Store) -> None:
    for number in range(200):
        await put(store, f"thing-{number}")


async def test_a_full_disk_refuses_and_recovers(small_disk: Path) -> None:
    async with open_store(small_disk / "state.db") as store:
        ballast = small_disk / "ballast"
        ballast.write_bytes(b"x" * 1_000_000)
        with pytest.raises(StorageError, match="no space left on device"):
            await fill(store)
        stored = store.count("things")
        assert stored > 0
        before = store.revision
        with pytest.raises(StorageError):
            await put(store, "another")
        assert store.count("things") == stored
        ballast.unlink()
        await put(store, "another")
        assert store.revision > before
    async with open_store(small_disk / "state.db") as store:
        assert store.count("things") == stored + 1
