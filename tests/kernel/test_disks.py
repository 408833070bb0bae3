"""Disks in a mount namespace of their own: sizes that a writer meets, and nothing left behind."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from netsim import loop, pins, syscalls
from netsim.disks import Disks
from netsim.errors import Busy, InvalidRequest, NotFound, NotPermitted, Unsupported
from netsim.mountspace import MountSpace

T = TypeVar("T")
MIB = 1 << 20


class Inside:
    """One thread in a pinned mount namespace."""

    def __init__(self, directory: Path) -> None:
        self.space = MountSpace(directory / "mounts" / "pin")
        self._thread = ThreadPoolExecutor(1)

    def __call__(self, function: Callable[[], T]) -> T:
        def call() -> T:
            self.space.enter()
            return function()

        return self._thread.submit(call).result(timeout=30)

    def close(self) -> None:
        self._thread.shutdown()
        self.space.close()


@pytest.fixture
def inside(tmp_path: Path) -> Iterator[Inside]:
    opened = Inside(tmp_path)
    yield opened
    opened.close()
    pins.unpin(tmp_path / "mounts" / "pin")
    syscalls.unmount(str(tmp_path / "mounts"))
    for device in loop.below((tmp_path,)):
        loop.clear(device)
    until(lambda: not loop.below((tmp_path,)))


@pytest.fixture
def disks(tmp_path: Path) -> Disks:
    return Disks(tmp_path / "volumes")


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "target").mkdir()
    return tmp_path / "target"


def until(seen: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not seen():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def mounted(disks: Disks, name: str, target: Path, size: int = 8 * MIB) -> Callable[[], None]:
    disks.ensure(name, size)
    disks.prepare(name, "ext4")
    return lambda: disks.mount(name, target)


def test_a_writer_meets_the_size(disks: Disks, target: Path, inside: Inside) -> None:
    inside(mounted(disks, "a", target))

    def fill() -> int:
        with open(target / "file", "wb") as file:
            try:
                for _ in range(16):
                    file.write(bytes(MIB))
                    file.flush()
            except OSError as error:
                return error.errno or 0
        return 0

    assert inside(fill) == errno.ENOSPC
    assert inside(lambda: os.statvfs(target).f_blocks * os.statvfs(target).f_frsize) < 8 * MIB


def test_the_host_does_not_see_a_mount_and_another_thread_of_the_space_does(
    disks: Disks, target: Path, inside: Inside, tmp_path: Path
) -> None:
    inside(mounted(disks, "a", target))
    inside(lambda: (target / "file").write_text("kept"))
    assert not list(target.iterdir())
    other = Inside(tmp_path)
    try:
        assert other(lambda: (target / "file").read_text()) == "kept"
    finally:
        other.close()


def test_what_is_removed_on_the_host_takes_its_mount_along_and_not_the_data(
    disks: Disks, target: Path, inside: Inside, tmp_path: Path
) -> None:
    mount = mounted(disks, "a", target)
    inside(mount)
    inside(lambda: (target / "file").write_text("kept"))
    shutil.rmtree(target)
    until(lambda: not loop.below((tmp_path,)))
    target.mkdir()
    inside(mount)
    assert inside(lambda: (target / "file").read_text()) == "kept"


def test_two_mounts_of_a_disk_share_one_device(disks: Disks, target: Path, inside: Inside, tmp_path: Path) -> None:
    inside(mounted(disks, "a", target))
    second = tmp_path / "second"
    second.mkdir()
    inside(lambda: disks.mount("a", second, read_only=True))
    assert len(loop.below((tmp_path,))) == 1
    inside(lambda: (target / "file").write_text("one"))
    assert inside(lambda: (second / "file").read_text()) == "one"
    with pytest.raises(OSError, match="Read-only"):
        inside(lambda: (second / "file").write_text("two"))


def test_a_disk_in_use_is_not_deleted(disks: Disks, target: Path, inside: Inside) -> None:
    inside(mounted(disks, "a", target))
    with pytest.raises(Busy):
        disks.delete("a")
    inside(lambda: syscalls.unmount(str(target)))
    disks.delete("a")
    assert disks.names() == []
    disks.delete("a")


def test_a_grown_disk_is_larger_at_its_next_mount(disks: Disks, target: Path, inside: Inside) -> None:
    mount = mounted(disks, "a", target)
    inside(mount)
    inside(lambda: (target / "file").write_text("kept"))
    disks.grow("a", 64 * MIB)
    try:
        inside(lambda: disks.grow_filesystem("a", target))
    except NotPermitted:
        inside(lambda: syscalls.unmount(str(target)))
        disks.prepare("a", "ext4")
        inside(mount)
    assert inside(lambda: os.statvfs(target).f_blocks * os.statvfs(target).f_frsize) > 40 * MIB
    assert inside(lambda: (target / "file").read_text()) == "kept"
    disks.grow("a", MIB)
    assert disks.size("a") == 64 * MIB


def test_a_block_device_stays_until_it_is_detached(disks: Disks, tmp_path: Path) -> None:
    disks.ensure("a", MIB)
    device = disks.attach("a")
    assert loop.below((tmp_path,)) == {device: str(disks.root / "a" / "image")}
    assert disks.attach("a") == device
    Path(device).write_bytes(b"raw")
    disks.detach("a")
    assert loop.below((tmp_path,)) == {}
    with pytest.raises(InvalidRequest, match="unknown data"):
        disks.prepare("a", "ext4")


def test_plain_directories_have_no_device(tmp_path: Path, target: Path, inside: Inside) -> None:
    disks = Disks(tmp_path / "volumes", sized=False)
    inside(mounted(disks, "a", target))
    inside(lambda: (target / "file").write_text("kept"))
    assert (disks.root / "a" / "data" / "file").read_text() == "kept"
    assert disks.size("a") == 8 * MIB
    with pytest.raises(Unsupported):
        disks.attach("a")
    inside(lambda: syscalls.unmount(str(target)))


@pytest.mark.parametrize("name", ["", "..", "a/b", ".hidden", "x" * 201])
def test_a_name_never_leads_elsewhere(disks: Disks, name: str) -> None:
    with pytest.raises(InvalidRequest):
        disks.ensure(name, MIB)


def test_a_disk_removed_behind_the_back_is_named(disks: Disks, target: Path) -> None:
    mounted(disks, "a", target)
    (disks.root / "a" / "image").unlink()
    with pytest.raises(NotFound, match="are gone"):
        disks.prepare("a", "ext4")


def test_an_unknown_file_system_is_refused(disks: Disks) -> None:
    disks.ensure("a", MIB)
    with pytest.raises(Unsupported, match=r"mkfs\.zfs"):
        disks.prepare("a", "zfs")


def test_many_threads_attach_one_device(disks: Disks, tmp_path: Path) -> None:
    disks.ensure("a", MIB)
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(disks.attach("a"))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == len(loop.below((tmp_path,))) == 1
    disks.detach("a")
