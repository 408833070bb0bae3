"""The walk below a volume, where somebody changes names between the look and the step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from controlplane.node import subpath
from controlplane.node.errors import ConfigFailure
from controlplane.node.images.store import Image
from controlplane.node.plan import working_directory


def _reached(volume: Path, sub: str) -> str:
    descriptor = subpath._open(volume, sub)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def test_links_inside_the_volume_are_followed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "key").touch()
    (tmp_path / "key").symlink_to("data/key")
    assert _reached(tmp_path, "key") == str(tmp_path / "data" / "key")


@pytest.mark.parametrize("sub", ["../x", "a/../../x", "/etc"])
def test_a_path_that_climbs_is_refused(tmp_path: Path, sub: str) -> None:
    with pytest.raises(ConfigFailure, match="must be a relative path"):
        _reached(tmp_path / "v", sub)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sub", ["x", "x/deeper"])
def test_a_link_put_in_place_after_the_look_is_not_followed(
    tmp_path: Path, sub: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume, outside = tmp_path / "v", tmp_path / "outside"
    volume.mkdir()
    outside.mkdir()
    (volume / "x").symlink_to(outside)
    # As if it had been a directory a moment before.
    monkeypatch.setattr(subpath.os.path, "realpath", str)
    with pytest.raises((ConfigFailure, OSError)):
        _reached(volume, sub)
    assert list(outside.iterdir()) == []


def test_a_working_directory_may_not_climb() -> None:
    image = Image(reference="i", id="i", pulled="", working_dir="/../../../x")
    with pytest.raises(ConfigFailure, match="must not contain"):
        working_directory({}, image)
    assert working_directory({"workingDir": "/a//b/"}, image) == "/a/b"
