"""Work on files that are not netsim's: paths of the host, and those of a real file server. They may hang for ever.

A thread of the node's own does it, in the mount namespace of the cluster, and is made when it is first wanted. So what
hangs holds up the pods of one node that have such volumes, and no others; and none of those for longer than it takes to
say so, that it can still be deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

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
        self._call: asyncio.Future[Any] | None = None

    async def run(self, what: str, function: Callable[[], T]) -> T:
        """The result of `function`; VolumeFailure, which names `what`, if that hangs, or an earlier call still does."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, f"{self._name}-outside")
        try:
            async with asyncio.timeout(LIMIT_SECONDS):
                # What is handed to a thread that is stuck would pile up there, try by try.
                while self._call is not None and not self._call.done():
                    await asyncio.wait({self._call})
                self._call = call = asyncio.ensure_future(self._spawner.within(self._thread, function))
                call.add_done_callback(_noticed)
                return await asyncio.shield(call)
        except TimeoutError as error:
            raise VolumeFailure(f"{what} does not answer: timed out after {LIMIT_SECONDS:.0f} s") from error

    def close(self) -> None:
        """Lets go of the thread, which may be stuck."""
        if self._thread is not None:
            thread, self._thread, self._call = self._thread, None, None
            thread.shutdown(wait=False, cancel_futures=True)


def _noticed(call: asyncio.Future[Any]) -> None:
    """What became of a call that nobody waits for any more is no news."""
    if not call.cancelled():
        call.exception()
