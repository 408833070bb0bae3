import os
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from netsim import files


def test_exactly_one_of_many_creates_a_file(tmp_path: Path) -> None:
    def create(number: int) -> bool:
        try:
            files.create(tmp_path / "one", str(number).encode())
        except FileExistsError:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, range(40)))
    assert sum(made) == 1
    assert (tmp_path / "one").read_text() == str(made.index(True))
    assert os.listdir(tmp_path) == ["one"]


def test_a_file_system_without_nameless_files_does_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.open

    def refusing(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(95, "Operation not supported")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refusing)
    files.create(tmp_path / "one", b"x")
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "one", b"y")
    monkeypatch.undo()
    assert (tmp_path / "one").read_bytes() == b"x"
    assert os.listdir(tmp_path) == ["one"]


def test_replacing_and_overwriting_leave_the_new_content_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for write in (files.replace, files.overwrite):
        write(path, b"a long content")
        write(path, b"short")
        assert path.read_bytes() == b"short"
    files.remove(path)
    files.remove(path)
    assert os.listdir(tmp_path) == []


@contextmanager
def nearly_full() -> Iterator[None]:
    """Inside the block a write takes 10 bytes of what it is given and no more, and says so; the next is refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_does_not_fit_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    for write in (files.replace, files.create):
        with pytest.raises(OSError, match="File too large"), nearly_full():
            write(path.with_name("file" if write is files.replace else "other"), b"more than there is room for")
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_nothing_is_left_beside_a_file_that_cannot_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(IsADirectoryError):
        files.replace(tmp_path / "directory", b"x")
    assert os.listdir(tmp_path) == ["directory"]
