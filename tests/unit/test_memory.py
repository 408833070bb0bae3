"""Memory that is given back."""

from __future__ import annotations

import asyncio
import ctypes

import pytest

from controlplane import memory


async def test_what_lies_between_blocks_in_use_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(memory, "GROWN_BYTES", 16 << 20)
    # What other tests have left free would be used again, and nothing would grow.
    ctypes.CDLL(None).malloc_trim(0)
    task = asyncio.ensure_future(memory.Memory().run())
    await asyncio.sleep(0)
    # Below the size from which a block is a mapping of its own.
    blocks = [b"x" * (60 << 10) + bytes([number % 7]) for number in range(1500)]
    kept = blocks[::50]
    most = memory.resident()
    del blocks
    try:
        for _ in range(3000):
            if memory.resident() < most - (48 << 20):
                break
            await asyncio.sleep(0.01)
        else:
            raise AssertionError(f"{most} bytes stayed {memory.resident()}")
    finally:
        task.cancel()
        await asyncio.wait({task})
    assert len(kept) == 30
