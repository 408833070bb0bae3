from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from controlplane.node import logs
from controlplane.server.streams import LogOptions

LINES = (
    "2026-11-22T05:42:35.100000000+00:00 stdout F one\n"
    "2026-11-22T05:42:36.200000000+00:00 stderr F two\n"
    "2026-11-22T05:42:37.300000000+00:00 stdout P thr\n"
    "2026-11-22T05:42:37.400000000+00:00 stdout F ee\n"
)
SECOND = 1795326156.0


async def _read(path: Path, options: LogOptions) -> str:
    found = b""
    async for chunk in logs.read(path, options, logs.LogWatcher(), lambda: True, asyncio.Event()):
        found += chunk
    return found.decode()


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    path = tmp_path / "0.log"
    path.write_text(LINES)
    return path


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (LogOptions(), "one\ntwo\nthree\n"),
        (LogOptions(tail_lines=3), "two\nthree\n"),
        (LogOptions(tail_lines=0), ""),
        (LogOptions(tail_lines=99), "one\ntwo\nthree\n"),
        (LogOptions(since=SECOND), "two\nthree\n"),
        (LogOptions(limit_bytes=5), "one\nt"),
        (LogOptions(stream="Stdout"), "one\nthree\n"),
        (LogOptions(stream="Stderr"), "two\n"),
        (LogOptions(timestamps=True, tail_lines=1), "2026-11-22T05:42:37.400000000Z ee\n"),
    ],
)
async def test_a_log_is_read_as_asked(log_file: Path, options: LogOptions, text: str) -> None:
    assert await _read(log_file, options) == text


async def test_following_gives_what_is_appended_until_the_end(log_file: Path) -> None:
    watcher, wake, over = logs.LogWatcher(), asyncio.Event(), False
    got: list[bytes] = []
    some = asyncio.Event()

    async def follow() -> None:
        async for chunk in logs.read(log_file, LogOptions(follow=True, tail_lines=0), watcher, lambda: over, wake):
            got.append(chunk)
            some.set()

    task = asyncio.create_task(follow())
    await asyncio.sleep(0)
    with log_file.open("a") as file:
        file.write("2026-11-22T05:42:38.000000000+00:00 stdout F more")
        file.flush()
        file.write("\n")
    async with asyncio.timeout(30):
        await some.wait()
        over = True
        wake.set()
        await task
    watcher.close()
    assert b"".join(got) == b"more\n"


async def test_following_goes_on_in_the_file_that_conmon_renames_over_a_full_one(log_file: Path) -> None:
    watcher, wake, over = logs.LogWatcher(), asyncio.Event(), False
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def follow() -> None:
        async for chunk in logs.read(log_file, LogOptions(follow=True, tail_lines=1), watcher, lambda: over, wake):
            got.put_nowait(chunk)

    task = asyncio.create_task(follow())
    async with asyncio.timeout(30):
        assert await got.get() == b"ee\n"
        with log_file.open("a") as file:
            file.write("2026-11-22T05:42:38.000000000+00:00 stdout F last of the old\n")
        fresh = log_file.with_suffix(".log.tmp")
        fresh.write_text("")
        fresh.rename(log_file)
        assert await got.get() == b"last of the old\n"
        for word in ("one", "two"):
            with log_file.open("a") as file:
                file.write(f"2026-11-22T05:42:39.000000000+00:00 stdout F {word}\n")
            assert await got.get() == f"{word}\n".encode()
        over = True
        wake.set()
        await task
    watcher.close()
