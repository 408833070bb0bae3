"""Waiting for processes that are not our children, by pidfd: no polling, no SIGCHLD."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress


class ExitWatch:
    """Calls `ended` once on the loop when process `pid` has exited; closed with `close`.

    Raises ProcessLookupError when there is no such process now.
    """

    def __init__(self, pid: int, ended: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fd = os.pidfd_open(pid)
        self._ended = ended
        self._loop.add_reader(self._fd, self._fire)

    def close(self) -> None:
        """Stops watching; safe to call again."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

    def _fire(self) -> None:
        self.close()
        self._ended()


async def wait_for_exit(pid: int) -> None:
    """Returns when `pid` has exited."""
    done = asyncio.Event()
    try:
        watch = ExitWatch(pid, done.set)
    except ProcessLookupError:
        return
    try:
        await done.wait()
    finally:
        watch.close()


async def read_once(descriptor: int, size: int) -> bytes:
    """The first bytes from a pipe, at most `size`; b"" at its end."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
    return os.read(descriptor, size)


def send_signal(pid: int, number: int) -> None:
    """Signals a process; one that has gone is no error."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
