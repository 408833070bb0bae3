"""Commands that are printed: they work when they are pasted."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from workbench.cli.typed import typed, typed_again


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """netsim, called by its path, by root who used no sudo."""
    path = tmp_path / "bin" / "netsim"
    path.parent.mkdir()
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(path), "status", "--name", "my lab"])
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.delenv("SUDO_UID", raising=False)
    monkeypatch.delenv("NETSIM_NAME", raising=False)
    monkeypatch.chdir(tmp_path)
    return path


def test_root_is_told_no_sudo_and_who_used_it_is(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed("up") == "bin/netsim up"
    monkeypatch.setenv("SUDO_UID", "1000")
    assert typed("up", cluster="netsim") == "sudo bin/netsim up"
    assert typed("node", "start", "n 1", cluster="lab") == "sudo bin/netsim node start 'n 1' --name lab"


def test_a_name_that_sudo_does_not_find_is_no_command(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert typed("up") == "netsim up"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert typed("up") == "sudo bin/netsim up"


def test_the_whole_command_line_is_told_to_who_is_not_root(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert typed_again() == "sudo bin/netsim status --name 'my lab'"
    monkeypatch.setenv("NETSIM_NAME", "lab")
    assert typed_again() == "sudo --preserve-env=NETSIM_NAME bin/netsim status --name 'my lab'"


def test_from_elsewhere_it_is_called_by_its_name(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/usr/bin/pytest", "-q"])
    assert typed("down", cluster="lab") == "netsim down --name lab"


def test_a_directory_that_is_gone_is_no_matter(program: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert typed("up") == f"{program} up"
