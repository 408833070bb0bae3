"""Work on files that are not netsim's: paths of the host, and those of a real file server. They may hang for ever.

A thread of the node's own does it, in the mount namespace of the cluster, and is made when it is first wanted. So what
hangs holds up the pods of one node that have such volumes, and no others; and none of those for longer than it takes to
say so, that it can still be deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from controlplane.node.errors import VolumeFailure
from controlplane.node.runtime.spawner import Spawner

T = TypeVar("T")

LIMIT_SECONDS = 10.0


class Outside:
    """The thread of one node, called `name`; it can be used again after `close`."""

    def __init__(self, name: str, spawner: Spawner) -> None:
        self._name = name
        self._spawner = spawner
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, what: str, function: Callable[[], T]) -> T:
        """The result of `function`; VolumeFailure, which names `what`, if that hangs, or an earlier call still does."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, f"{self._name}-outside")
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                return await self._spawner.within(self._thread, function)
        except TimeoutError as error:
            raise VolumeFailure(f"{what} does not answer: timed out after {LIMIT_SECONDS:.0f} s") from error

    def close(self) -> None:
        """Lets go of the thread, which may be stuck."""
        if self._thread is not None:
            thread, self._thread = self._thread, None
            thread.shutdown(wait=False, cancel_futures=True)
