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
    pod: PodInfo, nodes: Sequence[NodeInfo], filters: Sequence[FilterPlugin], scores: Sequence[ScorePlugin]
) -> Decision:
    """Filters, scores, and takes one of the best at random."""
    checks = [(one, check) for one in filters if (check := one.filter(pod, nodes)) is not None]
    fitting: list[NodeInfo] = []
    refusals: dict[str, tuple[FilterPlugin, Refusal]] = {}
    for node in nodes:
        refused = _first_refusal(node, checks)
        if refused is None:
            fitting.append(node)
        else:
            refusals[node.name] = refused
    if not fitting:
        return Decision(None, len(nodes), refusals)
    return Decision(_best(pod, fitting, scores), len(nodes), refusals)


def explain(pod: PodInfo, decision: Decision, nodes: Sequence[NodeInfo]) -> str:
    """Why the pod has no node, in upstream's counted words."""
    if decision.total == 0:
        return "no nodes available to schedule pods"
    counts = Counter(reason for _, refusal in decision.refusals.values() for reason in refusal.reasons)
    return f"{_unavailable(decision.total, counts)} preemption: {_preemption(pod, decision, nodes)}"


def _first_refusal(
    node: NodeInfo, checks: Sequence[tuple[FilterPlugin, NodeFilter]]
) -> tuple[FilterPlugin, Refusal] | None:
    for plugin, check in checks:
        refusal = check(node)
        if refusal is not None:
            return plugin, refusal
    return None


def _best(pod: PodInfo, nodes: Sequence[NodeInfo], scores: Sequence[ScorePlugin]) -> NodeInfo:
    if len(nodes) == 1:
        return nodes[0]
    totals = [0.0] * len(nodes)
    for plugin in scores:
        values = plugin.score(pod, nodes)
        if values is not None:
            weight = plugin.weight
            totals = [total + weight * int(value) for total, value in zip(totals, values, strict=True)]
    highest = max(totals)
    return random.choice([node for node, total in zip(nodes, totals, strict=True) if total == highest])


def _unavailable(total: int, counts: Mapping[str, int]) -> str:
    reasons = sorted(f"{count} {reason}" for reason, count in counts.items())
    return f"0/{total} nodes are available: {', '.join(reasons)}."


def _preemption(pod: PodInfo, decision: Decision, nodes: Sequence[NodeInfo]) -> str:
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    counts: Counter[str] = Counter()
    by_name = {node.name: node for node in nodes}
    for name, (_, refusal) in decision.refusals.items():
        counts[_victims(pod, by_name[name], refusal)] += 1
    return _unavailable(decision.total, counts)


def _victims(pod: PodInfo, node: NodeInfo, refusal: Refusal) -> str:
    if not refusal.resolvable:
        return "Preemption is not helpful for scheduling"
    if any(other.priority < pod.priority for other in node.pods.values()):
        return "Preemption of lower-priority pods is not supported yet"
    return "No preemption victims found for incoming pod"
