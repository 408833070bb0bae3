"""`netsim explain … --diff`: what the appliers of a node changed last, as lines that came and went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.explain.world import Section, World


def explain_changes(world: World, applier: str) -> list[Section]:
    """One section a node: the last change of "proxy" or "policy"."""
    return [_node(node, applier, world.changes(node, applier)) for node in world.nodes()]


def _node(node: str, applier: str, change: Mapping[str, Any] | None) -> Section:
    title = f"Node {node}, {applier}"
    if change is None:
        return Section(node, title, ["nothing was changed since the node started"])
    lines = [f"at {change['at']}"]
    if change["full"]:
        lines.append(f"everything was written anew: {change['written']} chains")
    for chain in change["chains"]:
        lines.append(f"{chain['table']} {chain['chain']} ({chain['state']})")
        lines += [f"  - {line}" for line in chain["removed"]] + [f"  + {line}" for line in chain["added"]]
    for each in change["sets"]:
        lines.append(f"set {each['set']} ({each['state']})")
        lines += [f"  - {member}" for member in each["removed"]] + [f"  + {member}" for member in each["added"]]
    return Section(node, title, lines, dict(change))
