"""What `netsim image prune` takes out of the cache."""

from __future__ import annotations

from pathlib import Path

from workbench.cli.image_prune import drop_built


def test_what_is_built_again_goes_and_nothing_else(tmp_path: Path) -> None:
    skeleton = tmp_path / "standin-0123456789abcdef"
    (skeleton / "etc").mkdir(parents=True)
    (skeleton / "etc" / "passwd").write_text("root" * 2000)
    (tmp_path / "writer-0123456789abcdef").write_text("program")
    (tmp_path / "tmpab1_xyz9").mkdir()
    (tmp_path / "vm").mkdir()
    (tmp_path / "vm.lock").touch()
    assert drop_built(tmp_path) >= 8000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["vm", "vm.lock"]
    assert drop_built(tmp_path) == 0


def test_a_cache_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert drop_built(tmp_path / "none") == 0
