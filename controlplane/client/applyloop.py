"""The loop of what keeps a node's kernel equal to what objects ask for: one write for a burst of changes, again after a
failure, and a look now and then whether somebody else undid it.

The work queue is for what is reconciled key by key; this is for what is written as a whole.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NoReturn

from netsim.errors import NetsimError

FIRST_RETRY_SECONDS = 0.05
LONGEST_RETRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Pace:
    """`debounce` and `longest_pause` are seconds; after a sync, the next waits `pause_per_sync` times as long as it
    took, so that a burst of changes leaves time for others."""

    debounce: float
    pause_per_sync: float
    longest_pause: float


class ApplyLoop:
    """Awaits `sync` when it begins and whenever `wake` has been set since.

    Every `check_seconds` without that it awaits `check`, and then `sync` too. After a `NetsimError` of either it awaits
    `failed` with the error and the seconds until it tries again, which double.
    """

    def __init__(
        self,
        pace: Pace,
        check_seconds: float,
        *,
        sync: Callable[[], Awaitable[None]],
        check: Callable[[], Awaitable[None]],
        failed: Callable[[NetsimError, float], Awaitable[None]],
    ) -> None:
        self.wake = asyncio.Event()
        self._pace = pace
        self._check_seconds = check_seconds
        self._sync = sync
        self._check = check
        self._failed = failed

    async def run(self) -> NoReturn:
        """Works until cancelled."""
        retry = FIRST_RETRY_SECONDS
        while True:
            started = time.monotonic()
            try:
                self.wake.clear()
                await self._sync()
                retry = FIRST_RETRY_SECONDS
                await self._rest(time.monotonic() - started)
            except NetsimError as error:
                await self._failed(error, retry)
                await asyncio.sleep(retry)
                retry = min(retry * 2, LONGEST_RETRY_SECONDS)

    async def _rest(self, took: float) -> None:
        """Returns when there is something to do, and not too soon after the last sync."""
        await asyncio.sleep(min(took * self._pace.pause_per_sync, self._pace.longest_pause))
        try:
            async with asyncio.timeout(self._check_seconds):
                await self.wake.wait()
        except TimeoutError:
            await self._check()
        else:
            await asyncio.sleep(self._pace.debounce)
