"""Shell scripts and the lab VM: checked by the tools that know them, and run where that needs no network."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPTS = ("scripts/setup", "scripts/test-vm", "vagrant/provision.sh", ".ci/run")
TOOLS = ("bash", "cat", "cut", "dirname", "flock", "mktemp", "readlink", "rm", "sha256sum", "sed", "tail")


def run(*argv: str, **kwargs: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, **kwargs)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_has_no_complaint(script: str) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = run("shellcheck", str(ROOT / script))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def test_the_vagrantfile_is_ruby() -> None:
    if shutil.which("ruby") is None:
        pytest.skip("ruby is not installed, so the Vagrantfile's syntax cannot be checked")
    done = run("ruby", "-c", str(ROOT / "vagrant" / "Vagrantfile"))
    assert done.returncode == 0, done.stderr
    assert "Syntax OK" in done.stdout


def test_the_vagrantfile_is_valid(tmp_path: Path) -> None:
    if shutil.which("vagrant") is None:
        pytest.skip("vagrant is not installed, and this distribution may not have it; its syntax is checked by ruby")
    shutil.copy(ROOT / "vagrant" / "Vagrantfile", tmp_path)
    shutil.copy(ROOT / "vagrant" / "provision.sh", tmp_path)
    home = {"VAGRANT_HOME": str(tmp_path / "home"), "VAGRANT_CHECKPOINT_DISABLE": "1"}
    done = run("vagrant", "validate", "--ignore-provider", cwd=tmp_path, env=os.environ | home)
    assert done.returncode == 0, done.stdout + done.stderr


def test_ci_runs_the_command_of_the_readme() -> None:
    assert (ROOT / ".ci/run").read_text().splitlines()[-1] == "exec make test"
    assert "sudo make test" in (ROOT / "README.md").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What setup looks at, without an environment."""
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/setup", "scripts/constraints.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.fixture
def bare_path(tmp_path: Path) -> str:
    """A PATH with the basic tools and nothing else: no apt-get, no Python."""
    directory = tmp_path / "bin"
    directory.mkdir()
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None
        (directory / tool).symlink_to(found)
    return str(directory)


def test_setup_refuses_a_profile_that_it_does_not_know() -> None:
    done = run(str(ROOT / "scripts/setup"), "everything")
    assert done.returncode == 1
    assert "allowed is run or test" in done.stderr


def test_setup_without_apt_names_what_is_missing(checkout: Path, bare_path: str) -> None:
    done = run("bash", str(checkout / "scripts/setup"), "run", env={"PATH": bare_path})
    assert done.returncode == 1
    assert "no apt-get" in done.stderr
    assert "conmon" in done.stderr
    assert not (checkout / ".venv").exists()


def test_a_host_without_python_gets_all_else_too(checkout: Path, bare_path: str) -> None:
    environment = {"PATH": bare_path, "PYTHON": "/none/python3"}
    done = run("bash", str(checkout / "scripts/setup"), "test", env=environment)
    assert done.returncode == 1
    missing = done.stderr.split("to install them: ")[1].split()
    assert {"python3", "python3-venv", "conmon", "busybox-static", "shellcheck", "tshark"} <= set(missing)


def test_setup_without_a_recent_python_says_so(checkout: Path) -> None:
    old = checkout / "old-python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    done = run(
        str(checkout / "scripts/setup"), "run", env={"PATH": f"{checkout / 'none'}:/usr/bin:/bin", "PYTHON": str(old)}
    )
    assert done.returncode == 1
    assert "PYTHON=" in done.stderr or "python3" in done.stderr


def test_make_says_that_root_is_needed() -> None:
    if os.geteuid() != 0:
        pytest.skip("drops root to try: needs root")
    done = run("setpriv", "--reuid=65534", "--clear-groups", "make", "-C", str(ROOT), "test")
    assert done.returncode != 0
    assert "sudo make test" in done.stderr


def test_make_help_lists_every_target() -> None:
    done = run("make", "-C", str(ROOT), "help")
    for target in ("setup", "demo", "test", "test-full", "test-vm", "lint", "bench", "clean", "help"):
        assert f"\n  {target} " in f"\n{done.stdout}"
