"""One caller at the streams of a container's main process, through the socket on which conmon offers them.

conmon sends what is written after it has accepted a caller, and no more. Who runs a pod and attaches (`kubectl run -i`)
would miss what the program has written by then, and a program that has ended would leave nothing to attach to. So the
first caller at a container that has begun just now also gets what its log holds, unless he has read that before:
kubectl reads the log and then attaches, since 1.36, and prints the log again when it cannot attach.

    log from where the caller has read it ── first packet: what the log holds before it ── packets until the end

Each piece of output is in the log before it is sent, so the log says what is missing before the first packet.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from controlplane.node.logs import Cursor, Piece
from controlplane.node.runtime.container import Container
from controlplane.server.streams import ProcessStreams, TerminalSize

CHUNK = 32768
YOUNG_SECONDS = 60.0
"""How long after its start a container's first caller gets what it has written so far."""

JOIN_TRIES = 20
JOIN_SECONDS = 0.002
DRAINED_PACKETS = 64
"""Packets that one try takes from the socket at most."""

_NAMES = {2: b"stdout", 3: b"stderr"}
_RESIZE = 1
_RESIZE_SECONDS = 0.1
"""Between two sizes: of orders that conmon reads at once it follows only the first."""


def is_open(container: Container, caller: str) -> bool:
    """Whether there is something to attach to: it runs, or it has just run and nobody was there."""
    return container.running or (container.started is not None and _begin(container, caller) is not None)


async def attach(container: Container, streams: ProcessStreams) -> None:
    """Joins the caller to the container until that has ended."""
    begin = _begin(container, streams.caller)
    container.attached = True
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(Cursor(Path(container.record.log_path), begin)) if begin is not None else None
        if log is not None:
            await _send(log.more(), streams)
        made = await _connected(container.bundle)
        if made is not None:
            stack.enter_context(contextlib.closing(made))
        helpers = [asyncio.ensure_future(_feed(made, streams)), asyncio.ensure_future(_resize(container, streams))]
        try:
            joined = made is not None and await _follow(made, log, streams)
            await container.ended.wait()
            if log is not None and not joined:
                await _send(log.more(), streams)
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)


def _begin(container: Container, caller: str) -> int | None:
    """From which byte of its output on the caller has not seen it; None for who wants only what is to come."""
    young = container.started is not None and time.time() - container.started < YOUNG_SECONDS
    return container.read_by.get(caller, 0) if young and not container.attached else None


async def _connected(bundle: Path) -> socket.socket | None:
    """A connection to the container's conmon; None where that has ended."""
    try:
        descriptor = os.open(bundle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    made = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    try:
        # By its descriptor: the name of a Unix socket has 107 characters, and a bundle's is longer.
        await asyncio.get_running_loop().sock_connect(made, f"/proc/self/fd/{descriptor}/attach")
    except (FileNotFoundError, ConnectionRefusedError):
        made.close()
        return None
    except BaseException:
        made.close()
        raise
    finally:
        os.close(descriptor)
    return made


async def _follow(made: socket.socket, log: Cursor | None, streams: ProcessStreams) -> bool:
    """Hands over what conmon sends, until it has nothing more; whether it has sent anything."""
    shown = list(log.more()) if log is not None else []
    await _send(shown, streams)
    packets = _packets(made)
    async with contextlib.aclosing(packets):
        first = await anext(packets, None)
        if first is None:
            return False
        await _send([first] if log is None else await _joined(made, log, first, shown), streams)
        async for packet in packets:
            await _send([packet], streams)
    return True


async def _packets(made: socket.socket) -> AsyncGenerator[Piece]:
    loop = asyncio.get_running_loop()
    while True:
        try:
            packet = await loop.sock_recv(made, CHUNK + 1)
        except ConnectionResetError:
            # conmon left without reading all input. What it has sent is there all the same, behind this error.
            continue
        if not packet:
            return
        yield _piece(packet)


async def _joined(made: socket.socket, log: Cursor, first: Piece, shown: Sequence[Piece]) -> Sequence[Piece]:
    """What the caller has not seen yet: of the log what comes before the first packet, then that and what came
    meanwhile. `shown` is what the log held right after the connection was made; some of it may have been sent too.
    """
    sent, held = [first], list(shown)
    for _ in range(JOIN_TRIES):
        come, logged = list(_waiting(made)), list(log.more())
        sent += come
        held += logged
        # What is logged and not yet here is on its way. So it is looked again until nothing more comes.
        if not logged and not come:
            break
        await asyncio.sleep(JOIN_SECONDS)
    seen = {name: len(_of(shown, name)) for name in _NAMES.values()}
    start = {name: _start(_of(held, name), _of(sent, name)) for name in _NAMES.values()}
    missing = _without(_until(held, start), seen)
    return [*missing, *_without(sent, {name: seen[name] - start[name] for name in seen})]


def _start(held: bytes, sent: bytes) -> int:
    """Where in the log what was sent begins; the log may be ahead, of a program that does not pause."""
    return len(held) - len(sent) if held.endswith(sent) else max(held.find(sent), 0)


def _until(pieces: Iterable[Piece], end: Mapping[bytes, int]) -> Iterator[Piece]:
    """The first bytes of each stream."""
    left = dict(end)
    for name, data in pieces:
        yield name, data[: max(left[name], 0)]
        left[name] -= len(data)


def _without(pieces: Iterable[Piece], begin: Mapping[bytes, int]) -> Iterator[Piece]:
    """All but the first bytes of each stream."""
    left = dict(begin)
    for name, data in pieces:
        yield name, data[max(left[name], 0) :]
        left[name] -= len(data)


def _waiting(made: socket.socket) -> Iterable[Piece]:
    """The packets that have come already."""
    for _ in range(DRAINED_PACKETS):
        try:
            packet = made.recv(CHUNK + 1)
        except (BlockingIOError, ConnectionResetError):
            return
        if not packet:
            return
        yield _piece(packet)


def _piece(packet: bytes) -> Piece:
    """Each packet is one byte that says which stream, and then the data."""
    return _NAMES.get(packet[0], b"stdout"), packet[1:]


def _of(pieces: Iterable[Piece], name: bytes) -> bytes:
    return b"".join(data for stream, data in pieces if stream == name)


async def _send(pieces: Iterable[Piece], streams: ProcessStreams) -> None:
    for name, data in pieces:
        output = streams.stderr if name == b"stderr" else streams.stdout
        if output is not None and data:
            await output(data)


async def _feed(made: socket.socket | None, streams: ProcessStreams) -> None:
    if streams.stdin is None or made is None:
        return
    loop = asyncio.get_running_loop()
    async for chunk in streams.stdin:
        for start in range(0, len(chunk), CHUNK):
            await loop.sock_sendall(made, chunk[start : start + CHUNK])
    # Which ends the container's own input if that was to be opened once.
    made.shutdown(socket.SHUT_WR)


async def _resize(container: Container, streams: ProcessStreams) -> None:
    if streams.resize is not None:
        async for size in streams.resize:
            _order_size(container.bundle, size)
            await asyncio.sleep(_RESIZE_SECONDS)


def _order_size(bundle: Path, size: TerminalSize) -> None:
    # conmon reads its orders from this pipe; without a reader it has ended.
    with contextlib.suppress(OSError):
        control = os.open(bundle / "ctl", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(control, "wb", buffering=0) as pipe:
            pipe.write(b"%d %d %d\n" % (_RESIZE, size.height, size.width))
