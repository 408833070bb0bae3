"""What an apply changed, as it is kept for people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netsim import changes
from netsim.errors import KernelError


def read(file: Path) -> Any:
    return json.loads(file.read_text())


def test_lines_and_members_that_came_and_went(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "proxy.changes.json"
    before = {"nat": {"A": ["-A A -j X", "-A A -j Y"], "B": ["-A B -j X"], "C": ["-A C"]}}
    after = {"nat": {"A": ["-A A -j X", "-A A -j Z"], "B": ("-A B -j X",), "D": ["-A D"]}}
    changes.record(file, before, after, {"S": {"1": "", "2": ""}}, {"S": ["2", "3"], "T": ["4"]})
    found = read(file)
    assert not found["full"]
    assert found["chains"] == [
        {"table": "nat", "chain": "A", "state": "changed", "removed": ["-A A -j Y"], "added": ["-A A -j Z"]},
        {"table": "nat", "chain": "C", "state": "gone", "removed": ["-A C"], "added": []},
        {"table": "nat", "chain": "D", "state": "new", "removed": [], "added": ["-A D"]},
    ]
    assert found["sets"] == [
        {"set": "S", "state": "changed", "removed": ["1"], "added": ["3"]},
        {"set": "T", "state": "new", "removed": [], "added": ["4"]},
    ]


def test_what_was_written_over_unknown_rules_is_only_counted(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    changes.record(file, None, {"nat": {"A": ["-A A"], "B": []}})
    found = read(file)
    assert (found["full"], found["written"], found["chains"]) == (True, 2, [])


def test_no_change_leaves_the_last_one(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    same = {"nat": {"A": ["-A A"]}}
    changes.record(file, same, same)
    assert not file.exists()


def test_what_cannot_be_written_is_an_error_of_netsim(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(KernelError, match=r"write .*changes\.json: File exists"):
        changes.record(tmp_path / "file" / "changes.json", None, {"nat": {"A": ["-A A"]}})
