"""Exports by server and path, and mount options in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from netsim.disks import Disks
from netsim.errors import AlreadyExists, InvalidRequest, NotFound
from netsim.exports import Exports
from netsim.mountoptions import MountOptions, flag_words, parse


@pytest.fixture
def exports(tmp_path: Path) -> Exports:
    return Exports(Disks(tmp_path / "exports"))


def found(exports: Exports, server: str, path: str) -> tuple[str, str] | None:
    nearest = exports.find(server, path)
    return (str(nearest[0]), nearest[1]) if nearest else None


def test_the_nearest_export_is_found(exports: Exports) -> None:
    exports.add("*", "/data")
    exports.add("files.example", "/data/www/")
    assert found(exports, "files.example", "/data/www") == ("files.example:/data/www", "")
    assert found(exports, "files.example", "/data/www/html/a") == ("files.example:/data/www", "html/a")
    assert found(exports, "other", "/data/www") == ("*:/data", "www")
    assert found(exports, "other", "/datastore") is None
    assert found(exports, "other", "/") is None


@pytest.mark.parametrize("path", ["//", "//data", "///data//www/../x"])
def test_slashes_too_many_are_no_other_path(exports: Exports, path: str) -> None:
    assert found(exports, "s", path) is None
    exports.add("s", "/data")
    assert (found(exports, "s", path) is None) == (path == "//")


def test_the_root_of_a_server(exports: Exports) -> None:
    exports.add("s", "/")
    assert found(exports, "s", "/") == ("s:/", "")
    assert found(exports, "s", "/a/b") == ("s:/", "a/b")


def test_exports_come_and_go(exports: Exports) -> None:
    exports.add("s", "/a b")
    assert [str(one) for one in exports.list()] == ["s:/a b"]
    with pytest.raises(AlreadyExists):
        exports.add("s", "/a b")
    exports.remove("s", "/a b")
    assert exports.list() == []
    with pytest.raises(NotFound):
        exports.remove("s", "/a b")


@pytest.mark.parametrize(("server", "path"), [("s", "a"), ("s", "/a/../b"), ("", "/a"), ("a:b", "/c"), ("a/b", "/c")])
def test_what_is_no_export_is_refused(exports: Exports, server: str, path: str) -> None:
    with pytest.raises(InvalidRequest):
        exports.add(server, path)


def test_options() -> None:
    assert parse(["ro", "noatime"]) == MountOptions(1 | 1024)
    assert parse(["ro,rw", "defaults", "errors=remount-ro,data=ordered"]) == MountOptions(
        0, ("errors=remount-ro", "data=ordered")
    )
    assert flag_words(["ro,nodev", "commit=5", "noexec"]) == ("nodev", "noexec")
