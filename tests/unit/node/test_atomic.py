from __future__ import annotations

import os
from pathlib import Path

import pytest

from controlplane.node.errors import VolumeFailure
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


@pytest.mark.parametrize("name", ["../x", "a/../../../x", "/x", "..data", "a\0b"])
def test_a_path_that_leads_out_of_the_volume_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(VolumeFailure, match="no path of a file inside the volume"):
        write(tmp_path / "run" / "v", {"good": File(b""), name: File(b"overwritten")})
    assert list(tmp_path.rglob("*")) == []


def test_files_that_cannot_be_there_together_leave_the_old_set(tmp_path: Path) -> None:
    write(tmp_path, {"a": File(b"1")})
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(VolumeFailure, match="cannot be written"):
        write(tmp_path, {"a": File(b"2"), "a/b": File(b"3")})
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "a").read_bytes() == b"1"


def test_a_link_that_somebody_put_in_place_of_ours_deletes_nothing(tmp_path: Path) -> None:
    volume, precious = tmp_path / "v", tmp_path / "precious"
    write(volume, {"a": File(b"1")})
    precious.mkdir()
    (precious / "kept").touch()
    (volume / "..data").unlink()
    (volume / "..data").symlink_to("../precious")
    with pytest.raises(VolumeFailure, match="changed from outside"):
        write(volume, {"a": File(b"2")})
    assert (precious / "kept").exists()
