"""NodeAffinity: nodeSelector and required node affinity refuse, preferred node affinity scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from controlplane.api.node_selectors import matches_term, matches_terms
from controlplane.scheduler.framework import ClusterEvent, NodeFilter, Refusal, normalized
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

_REFUSED = Refusal(("node(s) didn't match Pod's node affinity/selector",))


def required_match(pod: PodInfo) -> Callable[[NodeInfo], bool] | None:
    """The test of nodeSelector and required node affinity; None for a pod with neither."""
    wanted = pod.spec.get("nodeSelector") or {}
    affinity = pod.affinity.get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not wanted and required is None:
        return None
    pairs = wanted.items()
    terms = required["nodeSelectorTerms"] if required is not None else None

    def matches(node: NodeInfo) -> bool:
        if not pairs <= node.labels.items():
            return False
        return terms is None or matches_terms(terms, node.name, node.labels)

    return matches


class NodeAffinity:
    name = "NodeAffinity"
    weight = 2
    wakes_on = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_LABELS})

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        matches = required_match(pod)
        if matches is None:
            return None
        return lambda node: None if matches(node) else _REFUSED

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[float] | None:
        affinity = pod.affinity.get("nodeAffinity") or {}
        preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution")
        if not preferred:
            return None
        sums = [
            sum(one["weight"] for one in preferred if matches_term(one.get("preference") or {}, node.name, node.labels))
            for node in nodes
        ]
        return normalized(sums)
