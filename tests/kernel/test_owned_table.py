"""Tables that live as long as a process: there inside the block, gone behind it and after a kill."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netsim.errors import NetsimError
from netsim.namespace import namespace_path
from netsim.owned_table import OwnedTable
from tests.conftest import Eventually
from tests.kernel.world import run

CHAIN = "add chain ip mine out { type filter hook output priority 0; }\n"


def tables(netns: str) -> str:
    return run("nft", "list", "tables", netns=netns)


def test_a_table_is_there_inside_the_block_only(netns: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with OwnedTable(namespace_path(netns), "mine", CHAIN):
        assert "chain out" in run("nft", "list", "table", "ip", "mine", netns=netns)
    assert tables(netns) == ""
    # nft remembers commands in the home directory, if it can.
    assert list(tmp_path.iterdir()) == []


def test_what_nft_refuses_is_said_and_leaves_nothing(netns: str) -> None:
    with pytest.raises(NetsimError, match=r"cannot make table mine in .*: Error"):
        OwnedTable(namespace_path(netns), "mine", "add nonsense\n").start()
    assert tables(netns) == ""


def test_a_table_goes_with_an_owner_that_is_killed(netns: str, eventually: Eventually) -> None:
    path: Path = namespace_path(netns)
    program = (
        "from pathlib import Path; from netsim.owned_table import OwnedTable; import time\n"
        f"with OwnedTable(Path({str(path)!r}), 'mine', {CHAIN!r}):\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program]) as owner:
        eventually(lambda: "mine" in tables(netns))
        owner.send_signal(signal.SIGKILL)
    eventually(lambda: tables(netns) == "")
