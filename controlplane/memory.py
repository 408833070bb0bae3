"""Gives memory back to the kernel after a great deal of it was used, such as by large answers to many at once.

The C library keeps what lies between two blocks that are still in use; asked to, it returns the pages.
"""

from __future__ import annotations

import asyncio
import ctypes
import resource
from pathlib import Path

LOOK_SECONDS = 10.0
GROWN_BYTES = 64 << 20
"""Growth of the resident memory since the last time from which on it is tried."""


class Memory:
    """A component: looks now and then, and does something only after growth."""

    async def run(self) -> None:
        """Goes on until it is cancelled; ends at once where the C library has nothing of the kind."""
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is None:
            return
        least = resident()
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if resident() > least + GROWN_BYTES:
                await asyncio.to_thread(trim, 0)
                least = resident()


def resident() -> int:
    """Bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
