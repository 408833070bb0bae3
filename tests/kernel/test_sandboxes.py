"""Where a pod's namespace is, from what its node's agent noted, as long as it is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from controlplane import directories
from controlplane.directories import Directories
from controlplane.sandboxes import netns_of
from netsim.namespace import delete_namespace

NODE = "node-1"


@pytest.fixture
def note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Notes a sandbox of pod `uid` in a namespace."""
    monkeypatch.setattr(directories, "RUN_ROOT", tmp_path)
    file = Directories("c").node(NODE) / "sandboxes" / "uid" / "sandbox.json"
    file.parent.mkdir(parents=True)

    def note(netns: str) -> None:
        file.write_text(json.dumps({"netns": netns}))

    return note


def found() -> str | None:
    return netns_of(Directories("c"), NODE, "uid")


def test_it_is_where_the_agent_noted_while_it_is_there(note: Callable[[str], None], netns: str) -> None:
    assert found() is None
    note(netns)
    assert found() == netns
    delete_namespace(netns)
    assert found() is None


def test_a_pod_on_its_node_s_network_has_none_of_its_own(note: Callable[[str], None]) -> None:
    note("")
    assert found() == ""
