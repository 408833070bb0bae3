"""From the rule set that is there and the one that shall be, to input for iptables-restore.

iptables-restore commits a table at once: with `--noflush`, a chain named in the input is emptied and filled anew in
the same transaction, others stay as they are. So a sync names only the chains that change, traffic never meets a
half-written chain, and rules that a former process wrote are adopted by being replaced with their like.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controlplane.proxy import names
from controlplane.proxy.ruleset import PROXY_CANARY, Jump, Ruleset

TABLES = ("mangle", "filter", "nat")


def full(wanted: Ruleset, present: dict[str, set[str]], missing: Sequence[Jump]) -> str:
    """Input that writes every chain of `wanted`, adds the jumps in `missing`, and deletes the Services' chains among
    the `present` ones that nobody wants."""
    texts = []
    for table in TABLES:
        chains = wanted[table]
        stale = sorted(c for c in present.get(table, ()) if names.is_service_chain(c) and c not in chains)
        lines = [rule for rules in chains.values() for rule in rules]
        for jump in missing:
            if jump.table == table:
                rule = f" {jump.rule}" if jump.rule else ""
                lines.append(f"-{jump.position} {jump.chain}{rule} -j {jump.target}")
        texts.append(_table(table, chains, stale, lines))
    return "".join(texts)


def changes(before: Ruleset, wanted: Ruleset) -> str:
    """Input that turns `before` into `wanted`; "" when they are the same. Both must hold the same shared chains."""
    texts = []
    for table in TABLES:
        old, new = before[table], wanted[table]
        changed = [chain for chain, rules in new.items() if old.get(chain) != rules]
        stale = [chain for chain in old if chain not in new]
        if changed or stale:
            texts.append(_table(table, changed, stale, [rule for chain in changed for rule in new[chain]]))
    return "".join(texts)


def parse_chains(saved: str) -> dict[str, set[str]]:
    """The chains of each table in iptables-save's output."""
    found: dict[str, set[str]] = {}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
            found[table] = set()
        elif line.startswith(":"):
            found[table].add(line[1:].split(" ", 1)[0])
    return found


def missing_jumps(saved: str, jumps: Sequence[Jump]) -> list[Jump]:
    """Those of `jumps` that iptables-save's output does not show."""
    present: set[tuple[str, str, str]] = set()
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:]
        elif line.startswith("-A "):
            words = line.split(" ")
            if len(words) >= 4 and words[-2] == "-j":
                present.add((table, words[1], words[-1]))
    return [jump for jump in jumps if (jump.table, jump.chain, jump.target) not in present]


def has_canary(saved: str) -> bool:
    """Whether every table of iptables-save's output still has the proxy's canary chain, which is empty and goes
    when someone deletes chains."""
    chains = parse_chains(saved)
    return all(PROXY_CANARY in chains.get(table, ()) for table in TABLES)


def _table(table: str, written: Iterable[str], deleted: Sequence[str], rules: Sequence[str]) -> str:
    # A chain that goes is named too: that empties it, so that chains which refer to each other can go together.
    # Sorted, because the nft-backed program keeps its chains in a sorted list: 1,000 Services take 0.34 s, else 0.5 s.
    heads = [f":{chain} - [0:0]" for chain in sorted((*written, *deleted))]
    ends = [f"-X {chain}" for chain in deleted]
    return "\n".join([f"*{table}", *heads, *rules, *ends, "COMMIT", ""])
