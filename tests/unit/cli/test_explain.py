"""What `netsim explain` and `netsim reach` make of command lines, and of what they found."""

from __future__ import annotations

import click
import pytest

from controlplane.explain.reach import Reached, Source, Target
from workbench.cli.explain import command
from workbench.cli.reach import _text

RULE = "-A KUBE-SEP-X -s 10.44.1.2/32 -m comment --comment default/web -j KUBE-MARK-MASQ"


@pytest.mark.parametrize(
    "arguments",
    [
        [RULE],
        ["--name", "lab", RULE, "-o", "json"],
        RULE.split(),
        ["--name", "lab", *RULE.split()],
        ["--", RULE],
    ],
)
def test_a_pasted_rule_is_taken_as_it_is(arguments: list[str]) -> None:
    context = command.commands["rule"].make_context("rule", list(arguments))  # type: ignore[attr-defined]
    assert " ".join(context.params["rule"]) == RULE


def test_names_of_chains_are_taken_too() -> None:
    context = command.commands["rule"].make_context("rule", ["KUBE-SVC-X", "--node", "n"])  # type: ignore[attr-defined]
    assert context.params["rule"] == ("KUBE-SVC-X",)
    assert context.params["node"] == "n"


def test_a_matrix_that_is_too_wide_has_numbers_for_heads() -> None:
    rows = [Source(f"pod/pod-{n}", "node-1", f"10.44.1.{n}", f"u{n}") for n in range(10)]
    columns = [Target(row.name, row.address, 80, ((row.address, 80),)) for row in rows]
    cells = [
        Reached(row, column, "denied" if column is columns[3] else "ok", "denied by default/p (ingress)", 1.0)
        for row in rows
        for column in columns
        if column.address != row.address
    ]
    text = click.unstyle(_text(rows, columns, cells, "tcp"))
    assert text.splitlines()[0].split()[-10:] == [f"[{n}]" for n in range(1, 11)]
    assert "[4] pod/pod-3:80" in text
    assert text.splitlines()[1].split() == ["pod/pod-0", "-", "ok", "ok", "denied", *["ok"] * 6]
    assert text.endswith("81 of 90 tcp connections came about")
    narrow = click.unstyle(_text(rows[:2], columns[:2], cells[:1], "tcp"))
    assert narrow.splitlines()[0].split() == ["FROM", "\\", "TO", "pod/pod-0:80", "pod/pod-1:80"]
