from __future__ import annotations

import os
from pathlib import Path

from controlplane.node.volumes.atomic import File, write


def test_a_change_replaces_the_whole_set_at_once(tmp_path: Path) -> None:
    volume = tmp_path / "volume"
    assert write(volume, {"a": File(b"1"), "sub/b": File(b"2", 0o600)})
    assert (volume / "a").read_bytes() == b"1"
    assert (volume / "sub" / "b").stat().st_mode & 0o777 == 0o600
    first = os.readlink(volume / "..data")

    assert write(volume, {"a": File(b"3")})
    assert (volume / "a").read_bytes() == b"3"
    assert sorted(os.listdir(volume)) == sorted(["..data", os.readlink(volume / "..data"), "a"])
    assert os.readlink(volume / "..data") != first


def test_the_same_set_is_left_alone(tmp_path: Path) -> None:
    files = {"a": File(b"1")}
    write(tmp_path / "v", files)
    before = os.readlink(tmp_path / "v" / "..data")
    assert not write(tmp_path / "v", files)
    assert os.readlink(tmp_path / "v" / "..data") == before


def test_an_open_directory_sees_one_set_only(tmp_path: Path) -> None:
    write(tmp_path / "v", {"a": File(b"1"), "b": File(b"1")})
    held = os.open(tmp_path / "v" / "..data", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fresh = os.open(tmp_path / "v" / "a", os.O_RDONLY)
        write(tmp_path / "v", {"a": File(b"2"), "b": File(b"2")})
        assert os.read(fresh, 1) == b"1"
        os.close(fresh)
    finally:
        os.close(held)
    assert {(tmp_path / "v" / name).read_bytes() for name in "ab"} == {b"2"}
