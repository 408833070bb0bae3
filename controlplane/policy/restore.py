"""From the chains that are there and those that shall be, to input for iptables-restore.

As for Services, a chain is written whole in one transaction, so no packet meets half of one. The jump stands first in
FORWARD: after kube-proxy's rules it would come too late, for those accept what a Service translated.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from controlplane.policy import names
from controlplane.policy.rules import JUMP

TABLE = "filter"
HOOK = "FORWARD"

Chains = Mapping[str, Sequence[str]]


def changes(before: Chains, wanted: Chains) -> str:
    """Input that turns the chains `before` into `wanted`, jump included; "" when they are the same."""
    jump = [f"-I {HOOK} 1 {JUMP}"] if wanted and not before else []
    unjump = [f"-D {HOOK} {JUMP}"] if before and not wanted else []
    written = [chain for chain in wanted if before.get(chain) != wanted[chain]]
    return _text(written, [chain for chain in before if chain not in wanted], wanted, [*unjump, *jump])


def full(saved: str, wanted: Chains) -> str:
    """Input that writes all of `wanted`, with the jump in its place, whatever `iptables-save -t filter` shows; "" if
    it shows nothing of ours and nothing is wanted."""
    chains, jumps, first = _read(saved)
    moves = [f"-D {HOOK} {JUMP}"] * jumps if not (first and wanted and jumps == 1) else []
    if wanted and not (first and jumps == 1):
        moves.append(f"-I {HOOK} 1 {JUMP}")
    return _text(wanted, sorted(chains - set(wanted)), wanted, moves)


def in_place(saved: str, wanted: Chains) -> bool:
    """Whether `iptables-save -t filter` shows every chain of `wanted`, and the jump as the first rule."""
    chains, jumps, first = _read(saved)
    return set(wanted) <= chains and (not wanted or (first and jumps == 1))


def _read(saved: str) -> tuple[set[str], int, bool]:
    """Our chains, how often the jump stands in the hook, and whether it is the first rule there."""
    lines = saved.splitlines()
    chains = {line[1:].split(" ", 1)[0] for line in lines if line.startswith(f":{names.PREFIX}")}
    hooked = [line.endswith(f"-j {names.ROOT}") for line in lines if line.startswith(f"-A {HOOK} ")]
    return chains, sum(hooked), bool(hooked) and hooked[0]


def _text(written: Iterable[str], gone: Sequence[str], wanted: Chains, moves: Sequence[str]) -> str:
    written = list(written)
    if not written and not gone and not moves:
        return ""
    # Chains that go are named too, which empties them, so that those that refer to each other can go together.
    heads = [f":{chain} - [0:0]" for chain in sorted((*written, *gone))]
    rules = [rule for chain in written for rule in wanted[chain]]
    ends = [f"-X {chain}" for chain in gone]
    return "\n".join([f"*{TABLE}", *heads, *moves, *rules, *ends, "COMMIT", ""])
