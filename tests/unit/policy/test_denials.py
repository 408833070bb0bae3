"""Denied packets as lines, and the file that they are kept in."""

from __future__ import annotations

from pathlib import Path

import pytest

from controlplane.policy import denials
from controlplane.policy.denials import DenialLog, denial_line
from controlplane.policy.rules import Posture
from netsim.nflog import Logged
from tests.unit.policy.conftest import make_policy

NAMES = {"10.44.1.2": "default/web", "10.44.2.3": "shop/client", "10.128.0.12": "node/node-2"}
POLICIES = (make_policy("a"), make_policy("b"))


def fields(packet: Logged, direction: str) -> dict[str, str]:
    posture = Posture("ingress" if direction == "ingress" else "egress", POLICIES)
    words = denial_line("node-1", posture, packet, lambda address: NAMES.get(address, "")).split()
    return dict(word.partition("=")[::2] for word in words[1:])


def test_of_ingress_the_pod_is_the_destination() -> None:
    found = fields(Logged("x", "10.44.2.3", "10.44.1.2", "tcp", 40000, 80), "ingress")
    assert (found["pod"], found["peer"], found["policy"]) == ("default/web", "shop/client", "default/a,default/b")
    assert (found["protocol"], found["port"]) == ("tcp", "80")


def test_of_egress_it_is_the_source_and_a_stranger_has_his_address_for_a_name() -> None:
    found = fields(Logged("x", "10.44.1.2", "192.0.2.9", "icmp"), "egress")
    assert (found["pod"], found["peer"]) == ("default/web", "192.0.2.9")
    assert "port" not in found
    assert fields(Logged("x", "10.128.0.12", "10.44.1.2", "udp", 1, 53), "ingress")["peer"] == "node/node-2"


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "LONGEST_FILE", 100)
    file = tmp_path / "policy.log"
    log = DenialLog(file)
    for number in range(100):
        log.write([f"line {number}", "and another"])
    older = tmp_path / "policy.log.1"
    assert sorted(tmp_path.iterdir()) in ([file, older], [older])
    text = older.read_text() + (file.read_text() if file.exists() else "")
    assert text.endswith("line 99\nand another\n")
    assert len(text) < 300
