"""Running components: each until it is cancelled, and again after a failure."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from typing import Any, Protocol

log = logging.getLogger(__name__)

RESTART_SECONDS = 1.0


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
    while True:
        try:
            await component.run()
        except Exception:
            log.exception(
                "component failed", extra={"component": type(component).__name__, "again_in": RESTART_SECONDS}
            )
            await asyncio.sleep(RESTART_SECONDS)
        else:
            return


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
