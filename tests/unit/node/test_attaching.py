"""What a caller at a container's streams gets of its log and of conmon's packets: all of it, each byte once.

A socket stands in for conmon's, so that what comes before what can be said; the real one is in `tests/kernel/node`.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.node import attaching
from controlplane.node.logs import Cursor
from controlplane.node.runtime.container import Container, Exit
from controlplane.node.runtime.record import Record
from controlplane.server.streams import ProcessStreams

SOON_SECONDS = 30.0
STREAMS = {"stdout": 2, "stderr": 3}


class Conmon:
    """Writes the log first and then to who is connected, as conmon does."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "0.log"
        self._log.touch()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.bind(str(directory / "attach"))
        self._listener.listen()
        self._listener.settimeout(SOON_SECONDS)
        self._caller: socket.socket | None = None
        self.container = Container(
            Record("id", "", "", "", "c", 0, False, "", "", 0, "", str(self._log), "", "", ""), directory, 1
        )
        self.container.started = time.time()

    def accept(self) -> None:
        self._caller = self._listener.accept()[0]

    def write(self, data: bytes, stream: str = "stdout") -> None:
        self.log(data, stream)
        self.send(data, stream)

    def log(self, data: bytes, stream: str = "stdout") -> None:
        *lines, rest = data.split(b"\n")
        prefix = f"2026-11-22T05:42:35.100000000+00:00 {stream} ".encode()
        with self._log.open("ab") as log:
            log.writelines(prefix + b"F " + line + b"\n" for line in lines)
            if rest:
                log.write(prefix + b"P " + rest + b"\n")

    def send(self, data: bytes, stream: str = "stdout") -> None:
        if self._caller is not None:
            self._caller.send(bytes([STREAMS[stream]]) + data)

    def end(self) -> None:
        self.container.exit = Exit(0, 0.0)
        self.container.ended.set()
        self._listener.close()
        if self._caller is not None:
            self._caller.close()


class Caller:
    """Keeps what it gets."""

    def __init__(self, conmon: Conmon, name: str = "") -> None:
        self.seen = b""
        self.errors = b""
        self._changed = asyncio.Event()
        streams = ProcessStreams(False, None, self._out, self._err, None, name)
        self.task = asyncio.ensure_future(attaching.attach(conmon.container, streams))

    async def until(self, seen: bytes) -> None:
        async with asyncio.timeout(SOON_SECONDS):
            while self.seen != seen:
                self._changed.clear()
                await self._changed.wait()

    async def end(self) -> bytes:
        await asyncio.wait_for(self.task, SOON_SECONDS)
        return self.seen

    async def _out(self, data: bytes) -> None:
        self.seen += data
        self._changed.set()

    async def _err(self, data: bytes) -> None:
        self.errors += data


@pytest.fixture
def conmon(tmp_path: Path) -> Iterator[Conmon]:
    made = Conmon(tmp_path)
    yield made
    made.end()


async def accepted(conmon: Conmon) -> None:
    await asyncio.to_thread(conmon.accept)


async def test_the_first_caller_gets_what_was_before_and_what_comes(conmon: Conmon) -> None:
    conmon.write(b"before\npro")
    caller = Caller(conmon)
    await caller.until(b"before\npro")
    await accepted(conmon)
    conmon.write(b"mpt> ")
    conmon.write(b"wrong\n", "stderr")
    await caller.until(b"before\nprompt> ")
    conmon.end()
    assert (await caller.end(), caller.errors) == (b"before\nprompt> ", b"wrong\n")


async def test_what_is_written_before_conmon_accepts_is_not_lost(conmon: Conmon) -> None:
    caller = Caller(conmon)
    conmon.write(b"same\n")
    conmon.write(b"lost\n", "stderr")
    await accepted(conmon)
    conmon.write(b"same\n")
    await caller.until(b"same\nsame\n")
    conmon.end()
    assert (await caller.end(), caller.errors) == (b"same\nsame\n", b"lost\n")


async def test_what_is_sent_and_was_read_in_the_log_comes_once(conmon: Conmon) -> None:
    conmon.write(b"one\n")
    log = Cursor(Path(conmon.container.record.log_path), 0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    with log, ours, theirs:
        conmon.write(b"two\n")
        shown = list(log.more())
        theirs.send(b"\x02two\n")
        conmon.log(b"three\n")
        theirs.send(b"\x02three\n")
        first = attaching._piece(ours.recv(100))
        pieces = await attaching._joined(ours, log, first, shown)
    assert b"".join(data for _, data in pieces) == b"three\n"


async def test_a_container_that_has_ended_leaves_its_output_to_the_first_caller(conmon: Conmon) -> None:
    conmon.write(b"all\n")
    conmon.end()
    assert await Caller(conmon).end() == b"all\n"
    assert not attaching.is_open(conmon.container, "")


async def test_what_a_caller_has_read_of_the_log_is_not_sent_again(conmon: Conmon) -> None:
    conmon.write(b"read\nunread\n")
    conmon.container.read_by["somebody"] = len(b"read\n")
    conmon.end()
    assert await Caller(conmon, "somebody").end() == b"unread\n"


async def test_who_is_late_sees_only_what_comes(conmon: Conmon) -> None:
    assert conmon.container.started is not None
    conmon.container.started -= attaching.YOUNG_SECONDS + 1
    conmon.write(b"long ago\n")
    caller = Caller(conmon)
    await accepted(conmon)
    conmon.write(b"now\n")
    await caller.until(b"now\n")
    conmon.end()
    await caller.end()
    assert not attaching.is_open(conmon.container, "")


async def test_output_outlives_input_that_nobody_has_read(conmon: Conmon) -> None:
    async def given() -> AsyncIterator[bytes]:
        yield b"unread"

    seen = bytearray()

    async def out(data: bytes) -> None:
        seen.extend(data)

    streams = ProcessStreams(False, given(), out, out, None)
    call = asyncio.ensure_future(attaching.attach(conmon.container, streams))
    await accepted(conmon)
    conmon.write(b"last words\n")
    conmon.end()
    await asyncio.wait_for(call, SOON_SECONDS)
    assert bytes(seen) == b"last words\n"
