"""Container logs: the CRI files that conmon writes, read as the kubelet serves them.

A line is `TIME STREAM F|P TEXT`; P marks a part of a longer line. Followers share the
process's one inotify descriptor, because the default limit on those is low.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from controlplane.server.streams import ALL_STREAMS, LogOptions

BLOCK = 65536
SAFETY_SECONDS = 5.0
"""How long a follower sleeps at most, should a notification have been lost."""
MISSING_SECONDS = 0.02

_IN_MODIFY, _IN_ATTRIB, _IN_MOVE_SELF, _IN_DELETE_SELF = 0x2, 0x4, 0x800, 0x400
_libc = ctypes.CDLL(None, use_errno=True)


class LogWatcher:
    """One inotify descriptor for all files that are being followed."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._waiting: dict[int, set[asyncio.Event]] = {}

    @contextmanager
    def watch(self, path: Path) -> Iterator[asyncio.Event]:
        """An event that is set whenever the file has changed."""
        event = asyncio.Event()
        number = self._add(path)
        self._waiting.setdefault(number, set()).add(event)
        try:
            yield event
        finally:
            left = self._waiting[number]
            left.discard(event)
            if not left:
                del self._waiting[number]
                _libc.inotify_rm_watch(self._descriptor, number)

    def close(self) -> None:
        """Lets go of the descriptor."""
        if self._descriptor >= 0:
            asyncio.get_running_loop().remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _add(self, path: Path) -> int:
        if self._descriptor < 0:
            self._descriptor = _libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
            if self._descriptor < 0:
                raise OSError(ctypes.get_errno(), "inotify: raise the sysctl fs.inotify.max_user_instances")
            asyncio.get_running_loop().add_reader(self._descriptor, self._read)
        # The attribute that changes is the number of names, when another file is renamed over one that is open.
        mask = _IN_MODIFY | _IN_ATTRIB | _IN_MOVE_SELF | _IN_DELETE_SELF
        number: int = _libc.inotify_add_watch(self._descriptor, os.fsencode(path), mask)
        if number < 0:
            raise OSError(ctypes.get_errno(), f"inotify watch of {path}")
        return number

    def _read(self) -> None:
        with suppress(BlockingIOError):
            data = os.read(self._descriptor, BLOCK)
            offset = 0
            while offset + 16 <= len(data):
                number = int.from_bytes(data[offset : offset + 4], "little", signed=True)
                offset += 16 + int.from_bytes(data[offset + 12 : offset + 16], "little")
                for event in self._waiting.get(number, ()):
                    event.set()


async def read(
    path: Path, options: LogOptions, watcher: LogWatcher, ended: Callable[[], bool], wake: asyncio.Event
) -> AsyncIterator[bytes]:
    """The log's content as `options` wants it. With `follow` it goes on until `ended()`; `wake` is set when
    that may have changed."""
    left = options.limit_bytes
    async for chunk in _lines(path, options, watcher, ended, wake):
        if left is not None:
            chunk = chunk[:left]
            left -= len(chunk)
        if chunk:
            yield chunk
        if left == 0:
            return


async def _lines(
    path: Path, options: LogOptions, watcher: LogWatcher, ended: Callable[[], bool], wake: asyncio.Event
) -> AsyncIterator[bytes]:
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        if options.tail_lines is not None:
            _seek_tail(file, options.tail_lines)
        if not options.follow:
            async for chunk in _available(file, options):
                yield chunk
            return
        changed = stack.enter_context(watcher.watch(path))
        while True:
            last, replaced = ended(), _replaced(file, path)
            changed.clear()
            async for chunk in _available(file, options):
                yield chunk
            if replaced:
                stack.close()
                file, changed = stack.enter_context(path.open("rb")), stack.enter_context(watcher.watch(path))
            elif last:
                return
            elif not _replaced(file, path):
                await _either(changed, wake, seconds=_patience(path))


Piece = tuple[bytes, bytes]
"""The name of a stream, and what was written to it."""


class Cursor:
    """Reads one log file on from where it was left; no file is an empty one."""

    def __init__(self, path: Path, skipped: int) -> None:
        self._file: BinaryIO | None = None
        with suppress(FileNotFoundError):
            self._file = path.open("rb")
        self._skipped = skipped
        self._at = 0

    def __enter__(self) -> Cursor:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._file is not None:
            self._file.close()

    def more(self) -> Iterator[Piece]:
        """What was written between the last call and this; at the first one, without the first `skipped` bytes."""
        if self._file is None:
            return
        end = os.fstat(self._file.fileno()).st_size
        while self._file.tell() < end and (line := self._file.readline()).endswith(b"\n"):
            text = _format(line, LogOptions())
            skipped = min(self._skipped, len(text))
            self._skipped -= skipped
            self._at = self._file.tell()
            yield line.split(b" ", 2)[1], text[skipped:]
        # Back to the begin of a line that is only half written.
        self._file.seek(self._at)


def _patience(path: Path) -> float:
    """How long to wait for an event; none tells that a file is begun where there is none at this moment."""
    return SAFETY_SECONDS if path.exists() else MISSING_SECONDS


def _replaced(file: BinaryIO, path: Path) -> bool:
    """Whether another file has been begun: by conmon at its largest size, or since `log_rotation` put this aside."""
    try:
        return not os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


async def _available(file: BinaryIO, options: LogOptions) -> AsyncIterator[bytes]:
    while True:
        where = file.tell()
        if where > os.fstat(file.fileno()).st_size:
            # Somebody emptied it.
            file.seek(0)
        block = file.readlines(BLOCK)
        if block and not block[-1].endswith(b"\n"):
            half = block.pop()
            file.seek(-len(half), os.SEEK_CUR)
        if not block:
            return
        yield b"".join(_format(line, options) for line in block)


async def _either(*events: asyncio.Event, seconds: float) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


def _format(line: bytes, options: LogOptions) -> bytes:
    stamp, _, rest = line.partition(b" ")
    stream, _, rest = rest.partition(b" ")
    tag, _, text = rest.partition(b" ")
    if options.stream != ALL_STREAMS and stream != options.stream.lower().encode():
        return b""
    if options.since is not None and _seconds(stamp) < options.since:
        return b""
    if tag == b"P":
        text = text.removesuffix(b"\n")
    return _utc(stamp) + b" " + text if options.timestamps else text


def _utc(stamp: bytes) -> bytes:
    return stamp[:-6] + b"Z" if stamp.endswith(b"+00:00") else stamp


def _seconds(stamp: bytes) -> float:
    text = stamp.decode()
    whole, _, rest = text.partition(".")
    digits = rest[:9]
    zone = rest[9:] or "+00:00"
    fraction = float(f"0.{digits}") if digits.isdigit() else 0.0
    return datetime.fromisoformat(whole + zone.replace("Z", "+00:00")).timestamp() + fraction


def _seek_tail(file: BinaryIO, lines: int) -> None:
    """Moves to the start of the last `lines` whole lines."""
    position = file.seek(0, os.SEEK_END)
    if lines <= 0:
        return
    found = -1
    while position > 0:
        size = min(BLOCK, position)
        position -= size
        file.seek(position)
        block = file.read(size)
        at = len(block)
        while (at := block.rfind(b"\n", 0, at)) >= 0:
            found += 1
            if found == lines:
                file.seek(position + at + 1)
                return
    file.seek(0)


def last_of(path: Path, lines: int, size: int) -> str:
    """The text of the last lines, at most `size` bytes: for FallbackToLogsOnError."""
    with suppress(FileNotFoundError), path.open("rb") as file:
        _seek_tail(file, lines)
        text = b"".join(_format(line, LogOptions()) for line in file.readlines())
        return text[-size:].decode(errors="replace")
    return ""
