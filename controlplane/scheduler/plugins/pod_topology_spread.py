"""PodTopologySpread: keeps alike pods apart, over nodes, zones or any label.

A pod without constraints of its own is spread over zones and nodes by upstream's system defaults
(zone with maxSkew 5, host name with maxSkew 3, both only a preference); pods alike are then those
of the same controller, which the nodes count as pods come and go.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.api.selectors import LabelPredicate, compile_selector
from controlplane.api.tolerations import untolerated
from controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, NodeFilter, Refusal
from controlplane.scheduler.node_info import HOSTNAME_LABEL, ZONE_LABEL, NodeInfo
from controlplane.scheduler.plugins.node_affinity import required_match
from controlplane.scheduler.pod_info import PodInfo

_SKEWED = Refusal(("node(s) didn't match pod topology spread constraints",), resolvable=True)
_UNLABELLED = Refusal(("node(s) didn't match pod topology spread constraints (missing required label)",))
_DEFAULTS = ((ZONE_LABEL, 5), (HOSTNAME_LABEL, 3))


@dataclass(frozen=True, slots=True)
class _Constraint:
    key: str
    max_skew: int
    min_domains: int
    matches: LabelPredicate
    honours_affinity: bool
    honours_taints: bool


class PodTopologySpread:
    name = "PodTopologySpread"
    weight = 2
    wakes_on = frozenset(
        {
            ClusterEvent.NODE_ADDED,
            ClusterEvent.NODE_LABELS,
            ClusterEvent.NODE_TAINTS,
            ClusterEvent.POD_ADDED,
            ClusterEvent.POD_GONE,
        }
    )

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        constraints = _constraints(pod, "DoNotSchedule")
        if not constraints:
            return None
        checks = [_spread_check(pod, constraint, constraints, nodes) for constraint in constraints]

        def check(node: NodeInfo) -> Refusal | None:
            return next((refusal for one in checks if (refusal := one(node)) is not None), None)

        return check

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[float] | None:
        if pod.spec.get("topologySpreadConstraints"):
            constraints = _constraints(pod, "ScheduleAnyway")
            if not constraints:
                return None
            counted = [
                (one.key, one.max_skew, [_count(node, pod.namespace, one.matches) for node in nodes])
                for one in constraints
            ]
        elif pod.controller:
            owner = (pod.namespace, pod.controller)
            own = [node.owners.get(owner, 0) for node in nodes]
            counted = [(key, skew, own) for key, skew in _DEFAULTS]
        else:
            return None
        return _scores(nodes, counted)


def _scores(nodes: Sequence[NodeInfo], counted: Sequence[tuple[str, int, list[int]]]) -> list[float] | None:
    raw = [0.0] * len(nodes)
    for key, skew, counts in counted:
        values = [node.labels.get(key) for node in nodes]
        totals: Counter[str | None] = Counter()
        for value, count in zip(values, counts, strict=True):
            totals[value] += count
        weight = math.log(len(totals) + 2)
        for position, value in enumerate(values):
            if value is not None:
                raw[position] += totals[value] * weight + (skew - 1)
    highest, lowest = max(raw), min(raw)
    if highest == 0:
        return [MAX_SCORE] * len(nodes)
    return [MAX_SCORE * (highest + lowest - value) / highest for value in raw]


def _spread_check(
    pod: PodInfo, constraint: _Constraint, constraints: Sequence[_Constraint], nodes: Sequence[NodeInfo]
) -> Callable[[NodeInfo], Refusal | None]:
    counts: dict[str, int] = {}
    for node in nodes:
        if _is_eligible(pod, node, constraint) and all(other.key in node.labels for other in constraints):
            value = node.labels[constraint.key]
            counts[value] = counts.get(value, 0) + _count(node, pod.namespace, constraint.matches)
    lowest = min(counts.values(), default=0) if len(counts) >= constraint.min_domains else 0
    own = 1 if constraint.matches(pod.labels) else 0

    def check(node: NodeInfo) -> Refusal | None:
        value = node.labels.get(constraint.key)
        if value is None:
            return _UNLABELLED
        skew = counts.get(value, 0) + own - lowest
        return _SKEWED if skew > constraint.max_skew else None

    return check


def _is_eligible(pod: PodInfo, node: NodeInfo, constraint: _Constraint) -> bool:
    if constraint.honours_affinity:
        matches = required_match(pod)
        if matches is not None and not matches(node):
            return False
    return not (constraint.honours_taints and untolerated(node.taints, pod.tolerations, ("NoSchedule", "NoExecute")))


def _constraints(pod: PodInfo, when: str) -> list[_Constraint]:
    found = []
    for one in pod.spec.get("topologySpreadConstraints") or ():
        if one["whenUnsatisfiable"] == when:
            found.append(
                _Constraint(
                    key=one["topologyKey"],
                    max_skew=one["maxSkew"],
                    min_domains=one.get("minDomains") or 1,
                    matches=_alike(pod, one),
                    honours_affinity=one.get("nodeAffinityPolicy", "Honor") == "Honor",
                    honours_taints=one.get("nodeTaintsPolicy", "Ignore") == "Honor",
                )
            )
    return found


def _alike(pod: PodInfo, constraint: Mapping[str, Any]) -> LabelPredicate:
    matches = compile_selector(constraint.get("labelSelector"))
    keys = [key for key in constraint.get("matchLabelKeys") or () if key in pod.labels]
    if not keys:
        return matches
    return lambda labels: matches(labels) and all(labels.get(key) == pod.labels[key] for key in keys)


def _count(node: NodeInfo, namespace: str, matches: LabelPredicate) -> int:
    return sum(
        1 for pod in node.pods.values() if pod.namespace == namespace and not pod.is_deleting and matches(pod.labels)
    )
