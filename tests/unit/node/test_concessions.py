"""What is conceded to a machine that refuses something: once each, and no more than helps."""

from __future__ import annotations

from controlplane.node.runtime.concessions import Concessions, own_oom_score


def test_a_score_that_cannot_be_had_becomes_the_daemons_own() -> None:
    said = "crun create failed: write to /proc/self/oom_score_adj: Permission denied"
    more = Concessions().after(said)
    assert more == Concessions(lowest_oom_score=own_oom_score())
    assert more.after(said) is None
    assert Concessions(device_rules=False).after(said) == Concessions(False, own_oom_score())
    assert more.words() == f"containers run with no oom_score_adj below {own_oom_score()}"


def test_device_rules_are_given_up_once() -> None:
    said = "runc create failed: failed to call BPF_PROG_LOAD: Operation not permitted (MEMLOCK may be too low)"
    more = Concessions().after(said)
    assert more == Concessions(device_rules=False)
    assert more.after(said) is None


def test_other_failures_concede_nothing() -> None:
    assert Concessions().after("crun create failed: executable file `nope` not found") is None


def test_two_refusals_at_once_are_both_kept() -> None:
    both = Concessions(device_rules=False).joined(Concessions(lowest_oom_score=0))
    assert both == Concessions(False, 0)
    assert "CAP_MKNOD and with no oom_score_adj below 0" in both.words()
