"""The daemon dies before each effect that storage has on the outside, in turn; the next one makes all right."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from controlplane.directories import Directories, volume_disks
from netsim import inventory, loop
from netsim.mark import Mark
from netsim.namespace import ensure_namespace
from tests.kernel.node.dying import NODE_NAME

STEPS = pytest.mark.parametrize(
    "step",
    [
        pytest.param(9, marks=pytest.mark.timeout(900)),
        pytest.param(1, marks=[pytest.mark.full, pytest.mark.timeout(3600)]),
    ],
)
"""Dying before every effect takes minutes."""
MOST = 120
SECONDS = 120


@pytest.fixture
def directories(cluster: str) -> Iterator[Directories]:
    made = Directories(cluster)
    made.ensure()
    ensure_namespace(f"{cluster}-{NODE_NAME}", Mark(cluster, "node", NODE_NAME))
    yield made
    inventory.remove(cluster)


def child(directories: Directories, phase: str, die_at: int = 0) -> int:
    argv = [sys.executable, "-m", "tests.kernel.node.dying", directories.name, phase, "--die-at", str(die_at)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=SECONDS, cwd=Path(__file__).parents[3])
    assert done.returncode in (0, -9), f"{phase} {die_at}: {done.stdout}{done.stderr}"
    return done.returncode


def assert_nothing_is_left(directories: Directories) -> None:
    assert volume_disks(directories.state).names() == []
    assert loop.below((directories.state,)) == {}
    run = directories.run / "nodes" / NODE_NAME
    for place in (run / "staged", run / "volumes", directories.state / "pods" / NODE_NAME):
        assert not place.exists() or not list(place.iterdir()), place
    assert [line for line in mounts(directories) if f" {run}/" in line and "/sandboxes/" not in line] == []


def mounts(directories: Directories) -> list[str]:
    """What is mounted in the cluster's own mount namespace."""
    argv = ["nsenter", f"--mount={directories.run}/mounts/pin", "cat", "/proc/self/mounts"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


@STEPS
def test_dying_before_each_effect_on_the_way_up(directories: Directories, step: int) -> None:
    died = 0
    for number in range(1, MOST, step):
        ended = child(directories, "up", number)
        assert child(directories, "up") == 0, f"after dying before effect {number}"
        assert len(loop.below((directories.state,))) == 1
        assert child(directories, "down") == 0, f"after dying before effect {number}"
        assert_nothing_is_left(directories)
        if ended == 0:
            break
        died += 1
    assert died > 40 // step


@STEPS
def test_dying_before_each_effect_on_the_way_down(directories: Directories, step: int) -> None:
    died = 0
    for number in range(1, MOST, step):
        ended = child(directories, "down-dying", number)
        assert child(directories, "down") == 0, f"after dying before effect {number}"
        assert_nothing_is_left(directories)
        if ended == 0:
            break
        died += 1
    assert died > 15 // step
