"""A program whose starter goes away while it is being started."""

from __future__ import annotations

import asyncio
import os
import threading

from controlplane.node.runtime.spawner import shared_spawner


async def test_what_was_started_for_a_caller_who_has_gone_is_ended() -> None:
    spawner, go = shared_spawner(), threading.Event()
    (reader, writer), (kept, given) = os.pipe2(os.O_CLOEXEC), os.pipe2(os.O_CLOEXEC)
    busy = asyncio.create_task(spawner.inside(lambda: go.wait(60)))
    starting = asyncio.create_task(spawner.spawn(["/bin/sleep", "60"], descriptors={1: writer}))
    # One turn for each, so that both are with the thread.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    # The number is another file's from now on, as it may be when the caller has closed its own.
    os.dup2(given, writer)
    os.close(given)
    go.set()
    await busy
    # Whatever comes after in that thread, the program has been started by then.
    await spawner.inside(lambda: None)
    os.close(writer)
    async with asyncio.timeout(30):
        assert await asyncio.to_thread(os.read, kept, 1) == b"", "the other file was not given to the program"
        assert await asyncio.to_thread(os.read, reader, 1) == b"", "the program has ended"
    for descriptor in (reader, kept):
        os.close(descriptor)
