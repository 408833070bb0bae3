"""One command at a time works on a cluster, and the lock leaves nothing behind."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path

import pytest

from workbench.cli import locks
from workbench.cli.errors import UserError
from workbench.cli.locks import locked


def test_a_directory_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with locked(tmp_path / "none") as held:
        assert held is False
    assert not (tmp_path / "none").exists()


def test_a_held_lock_is_waited_for_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WAIT_SECONDS", 0.05)
    with locked(tmp_path), pytest.raises(UserError, match=str(tmp_path)), locked(tmp_path):
        pass
    with locked(tmp_path) as held:
        assert held


def test_who_waited_gets_the_directory_that_was_made_anew(tmp_path: Path) -> None:
    directory = tmp_path / "a" / "b"
    waiting, entered = threading.Event(), threading.Event()

    def wait() -> None:
        waiting.set()
        with locked(directory, create=True) as held:
            if held and directory.is_dir():
                entered.set()

    with locked(directory, create=True):
        thread = threading.Thread(target=wait)
        thread.start()
        assert waiting.wait(60)
        shutil.rmtree(tmp_path / "a")
    thread.join(60)
    assert entered.is_set()
    assert list(directory.iterdir()) == []
