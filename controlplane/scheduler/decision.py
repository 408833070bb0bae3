"""One scheduling decision: pure, from a pod and the nodes to a node, or to why there is none."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from controlplane.scheduler.framework import FilterPlugin, NodeFilter, Refusal, ScorePlugin
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo


@dataclass(frozen=True, slots=True)
class Decision:
    """`node` is None where none does; `refusals` names for each refused node the plugin and its words."""

    node: NodeInfo | None
    total: int
    refusals: Mapping[str, tuple[FilterPlugin, Refusal]] = field(default_factory=dict)


def decide(
    pod: PodInfo,
    nodes: Sequence[NodeInfo],
    filters: Sequence[FilterPlugin],
    scores: Sequence[ScorePlugin],
    *,
    promised: Mapping[str, Sequence[PodInfo]] | None = None,
    preferred: str = "",
) -> Decision:
    """Filters, scores, and takes one of the best at random, or the node `preferred` if that does.

    `promised` are pods of no lower priority that wait for a preemption, by the node that they were promised: a node
    has to do with them, and without them as well, for they may go elsewhere.
    """
    refusals = refusals_of(pod, nodes, filters)
    if promised:
        crowded = [_with(node, promised.get(node.name, ()), pod.uid) for node in nodes]
        refusals |= refusals_of(pod, crowded, filters)
    fitting = [node for node in nodes if node.name not in refusals]
    if not fitting:
        return Decision(None, len(nodes), refusals)
    fitting = [node for node in fitting if node.name == preferred] or fitting
    return Decision(_best(pod, fitting, scores), len(nodes), refusals)


def refusals_of(
    pod: PodInfo, nodes: Sequence[NodeInfo], filters: Sequence[FilterPlugin]
) -> dict[str, tuple[FilterPlugin, Refusal]]:
    """The nodes that do not do, each with the first plugin that says so."""
    checks = [(one, check) for one in filters if (check := one.filter(pod, nodes)) is not None]
    refused = ((node.name, _first_refusal(node, checks)) for node in nodes)
    return {name: refusal for name, refusal in refused if refusal is not None}


def refusal_of(
    pod: PodInfo, node: NodeInfo, nodes: Sequence[NodeInfo], filters: Sequence[FilterPlugin]
) -> Refusal | None:
    """Why one of the nodes does not do; None if it does."""
    checks = [(one, check) for one in filters if (check := one.filter(pod, nodes)) is not None]
    refused = _first_refusal(node, checks)
    return refused[1] if refused is not None else None


def explain(decision: Decision) -> str:
    """Why the pod has no node, in upstream's counted words."""
    if decision.total == 0:
        return "no nodes available to schedule pods"
    for _, refusal in decision.refusals.values():
        if refusal.of_pod:
            return f"0/{decision.total} nodes are available: {', '.join(refusal.reasons)}."
    counts = Counter(reason for _, refusal in decision.refusals.values() for reason in refusal.reasons)
    return unavailable(decision.total, counts)


def unavailable(total: int, counts: Mapping[str, int]) -> str:
    """How many nodes have which reason."""
    reasons = sorted(f"{count} {reason}" for reason, count in counts.items())
    return f"0/{total} nodes are available: {', '.join(reasons)}."


def weighted_scores(pod: PodInfo, nodes: Sequence[NodeInfo], scores: Sequence[ScorePlugin]) -> dict[str, list[float]]:
    """What each plugin that has an opinion gives each of the nodes, weighted."""
    found = {}
    for plugin in scores:
        values = plugin.score(pod, nodes)
        if values is not None:
            found[plugin.name] = [float(plugin.weight * int(value)) for value in values]
    return found


def _first_refusal(
    node: NodeInfo, checks: Sequence[tuple[FilterPlugin, NodeFilter]]
) -> tuple[FilterPlugin, Refusal] | None:
    for plugin, check in checks:
        refusal = check(node)
        if refusal is not None:
            return plugin, refusal
    return None


def _with(node: NodeInfo, promised: Sequence[PodInfo], uid: str) -> NodeInfo:
    """The node with the pods that it was promised to, but for the one with that uid."""
    coming = [other for other in promised if other.uid != uid]
    if not coming:
        return node
    crowded = node.copy()
    for other in coming:
        crowded.add(other)
    return crowded


def _best(pod: PodInfo, nodes: Sequence[NodeInfo], scores: Sequence[ScorePlugin]) -> NodeInfo:
    if len(nodes) == 1:
        return nodes[0]
    totals = [0.0] * len(nodes)
    for values in weighted_scores(pod, nodes, scores).values():
        totals = [total + value for total, value in zip(totals, values, strict=True)]
    highest = max(totals)
    return random.choice([node for node, total in zip(nodes, totals, strict=True) if total == highest])
