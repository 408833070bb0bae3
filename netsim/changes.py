"""What was changed last among rules and sets, kept beside a namespace's other files so that it can be shown.

It is for people and nothing reads it back to decide anything. Knows rules as lines in named chains, and sets as names
with members.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from netsim import files
from netsim.errors import translated

Lines = Mapping[str, Mapping[str, Sequence[str]]]
"""Chains by table, lines by chain."""
Members = Mapping[str, Collection[str]]
"""Members by set."""

LONGEST = 200
"""Chains and sets that are told one by one."""


def record(
    file: Path,
    before: Lines | None,
    after: Lines,
    sets_before: Members | None = None,
    sets_after: Members | None = None,
) -> None:
    """Writes down what turned `before` into `after`; None stands for whatever was there, all written anew.

    Nothing is written when nothing changed. Raises `KernelError`.
    """
    chains = [] if before is None else _chains(before, after)
    sets = _sets(sets_before or {}, sets_after or {})
    if before is not None and not chains and not sets:
        return
    document = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "full": before is None,
        "written": sum(map(len, after.values())) if before is None else len(chains),
        "chains": chains[:LONGEST],
        "sets": sets[:LONGEST],
    }
    with translated(f"write {file}"):
        file.parent.mkdir(parents=True, exist_ok=True)
        files.replace(file, json.dumps(document).encode())


def _chains(before: Lines, after: Lines) -> list[dict[str, Any]]:
    found = []
    for table in sorted({*before, *after}):
        old_chains, new_chains = before.get(table, {}), after.get(table, {})
        for chain in (*old_chains, *(each for each in new_chains if each not in old_chains)):
            old, new = old_chains.get(chain), new_chains.get(chain)
            if old is new or (old is not None and new is not None and list(old) == list(new)):
                continue
            state = "new" if old is None else "gone" if new is None else "changed"
            lines_before, lines_after = set(old or ()), set(new or ())
            found.append(
                {
                    "table": table,
                    "chain": chain,
                    "state": state,
                    "removed": [line for line in old or () if line not in lines_after],
                    "added": [line for line in new or () if line not in lines_before],
                }
            )
    return found


def _sets(before: Members, after: Members) -> list[dict[str, Any]]:
    found = []
    for name in (*before, *(each for each in after if each not in before)):
        old, new = set(before.get(name, ())), set(after.get(name, ()))
        if old == new and name in before and name in after:
            continue
        state = "new" if name not in before else "gone" if name not in after else "changed"
        found.append({"set": name, "state": state, "removed": sorted(old - new), "added": sorted(new - old)})
    return found
