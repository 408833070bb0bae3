"""Running components: each until it is cancelled, and again after a failure."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0
LONGEST_RESTART_SECONDS = 30.0


class Component(Protocol):
    """Anything that works until it is cancelled."""

    async def run(self) -> None: ...


async def run_all(components: Iterable[Component]) -> None:
    """Runs components side by side until cancelled."""
    async with asyncio.TaskGroup() as group:
        for component in components:
            group.create_task(supervise(component), name=type(component).__name__)


async def supervise(component: Component) -> None:
    """Runs a component, again after a failure: one part's bug must not take the whole cluster down."""
    pause = 0.0
    while True:
        began = time.monotonic()
        try:
            await component.run()
        except Exception:
            pause = pause_after(pause, time.monotonic() - began)
            log.exception("component failed", extra={"component": type(component).__name__, "again_in": pause})
            await asyncio.sleep(pause)
        else:
            return


def pause_after(before: float, ran: float) -> float:
    """Seconds until a component that ran so long is run again: twice as many as `before`, lest what fails at once each
    time fills the log, and few for one that has worked for a while."""
    if not before or ran > LONGEST_RESTART_SECONDS:
        return RESTART_SECONDS
    return min(2 * before, LONGEST_RESTART_SECONDS)


async def until_or_failed(condition: Coroutine[Any, Any, None], work: asyncio.Future[None]) -> None:
    """Awaits `condition`, but no longer than `work` goes on, whose failure is then raised."""
    waiting = asyncio.ensure_future(condition)
    await asyncio.wait({waiting, work}, return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        await cancel(waiting)
        work.result()
    waiting.result()


async def cancel(task: asyncio.Future[None]) -> None:
    """Cancels a task and waits until it has ended."""
    task.cancel()
    await asyncio.wait({task})
