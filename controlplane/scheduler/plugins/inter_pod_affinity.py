"""InterPodAffinity: near these pods, far from those, over nodes, zones or any label.

It counts by walking the pods of the nodes, which only pods with such terms pay for; the
anti-affinity of pods already placed is found through the nodes' own short lists.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from controlplane.api.selectors import compile_selector
from controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, NodeFilter, Refusal
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

_NO_AFFINITY = Refusal(("node(s) didn't match pod affinity rules",))
_ANTI_AFFINITY = Refusal(("node(s) didn't match pod anti-affinity rules",), resolvable=True)
_EXISTING = Refusal(("node(s) didn't satisfy existing pods anti-affinity rules",), resolvable=True)
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"

Domain = tuple[str, str]
"""A topology key and a value of it."""

NamespaceLabels = Callable[[str], Mapping[str, str]]


class InterPodAffinity:
    """`namespace_labels` gives the labels of a namespace, for terms with a namespaceSelector."""

    name = "InterPodAffinity"
    weight = 2
    wakes_on = frozenset(
        {ClusterEvent.NODE_ADDED, ClusterEvent.NODE_LABELS, ClusterEvent.POD_ADDED, ClusterEvent.POD_GONE}
    )

    def __init__(self, namespace_labels: NamespaceLabels) -> None:
        self._namespace_labels = namespace_labels

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        near = _terms(pod, "podAffinity")
        far = _terms(pod, "podAntiAffinity")
        existing = self._refused_by_existing(pod, nodes)
        if not near and not far and not existing:
            return None
        near_domains = [(term, self._domains(pod, term, nodes)) for term in near]
        # The first of a group that wants to be near itself may go anywhere.
        is_first = not any(domains for _, domains in near_domains) and all(self._fits(pod, pod, term) for term in near)
        far_domains = [(term, self._domains(pod, term, nodes)) for term in far]

        def check(node: NodeInfo) -> Refusal | None:
            labels = node.labels
            for term, domains in near_domains:
                value = labels.get(term["topologyKey"])
                if value is None or not (is_first or value in domains):
                    return _NO_AFFINITY
            for term, domains in far_domains:
                if labels.get(term["topologyKey"]) in domains:
                    return _ANTI_AFFINITY
            if any(labels.get(key) == value for key, value in existing):
                return _EXISTING
            return None

        return check

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[float] | None:
        points: Counter[Domain] = Counter()
        for weight, term in _preferences(pod):
            for value, count in self._domains(pod, term, nodes).items():
                points[term["topologyKey"], value] += weight * count
        self._add_wishes_of_others(pod, nodes, points)
        if not points:
            return None
        sums = [sum(points.get((key, value), 0) for key, value in node.labels.items()) for node in nodes]
        highest, lowest = max(sums), min(sums)
        if highest == lowest:
            return None
        return [MAX_SCORE * (value - lowest) / (highest - lowest) for value in sums]

    def _add_wishes_of_others(self, pod: PodInfo, nodes: Iterable[NodeInfo], points: Counter[Domain]) -> None:
        """What pods already placed would like of this one's place; what they require counts for one."""
        for node in nodes:
            for other in node.with_affinity.values():
                required = [(1, term) for term in _terms(other, "podAffinity")]
                for weight, term in (*_preferences(other), *required):
                    value = node.labels.get(term["topologyKey"])
                    if value is not None and self._fits(other, pod, term):
                        points[term["topologyKey"], value] += weight

    def _domains(self, pod: PodInfo, term: Mapping[str, Any], nodes: Iterable[NodeInfo]) -> dict[str, int]:
        """How many pods fit `term` in each value of its topology key."""
        key = term["topologyKey"]
        counts: dict[str, int] = {}
        for node in nodes:
            value = node.labels.get(key)
            if value is not None:
                found = sum(1 for other in node.pods.values() if self._fits(pod, other, term))
                if found:
                    counts[value] = counts.get(value, 0) + found
        return counts

    def _refused_by_existing(self, pod: PodInfo, nodes: Iterable[NodeInfo]) -> set[Domain]:
        """The domains that pods already placed keep free of pods like this one."""
        refused = set()
        for node in nodes:
            for other in node.with_anti_affinity.values():
                for term in _terms(other, "podAntiAffinity"):
                    value = node.labels.get(term["topologyKey"])
                    if value is not None and self._fits(other, pod, term):
                        refused.add((term["topologyKey"], value))
        return refused

    def _fits(self, owner: PodInfo, other: PodInfo, term: Mapping[str, Any]) -> bool:
        """Whether `other` is one of the pods that `term`, a term of `owner`, speaks of."""
        if not self._namespace_fits(owner, other.namespace, term):
            return False
        if not compile_selector(term.get("labelSelector"))(other.labels):
            return False
        same = (key for key in term.get("matchLabelKeys") or () if key in owner.labels)
        different = (key for key in term.get("mismatchLabelKeys") or () if key in owner.labels)
        return all(other.labels.get(key) == owner.labels[key] for key in same) and all(
            other.labels.get(key) != owner.labels[key] for key in different
        )

    def _namespace_fits(self, owner: PodInfo, namespace: str, term: Mapping[str, Any]) -> bool:
        named, selector = term.get("namespaces"), term.get("namespaceSelector")
        if not named and selector is None:
            return namespace == owner.namespace
        if namespace in (named or ()):
            return True
        return selector is not None and compile_selector(selector)(self._namespace_labels(namespace))


def _preferences(pod: PodInfo) -> list[tuple[int, dict[str, Any]]]:
    """The preferred terms with their weights, those of anti-affinity negative."""
    wanted = [(one["weight"], one["podAffinityTerm"]) for one in _terms(pod, "podAffinity", _PREFERRED)]
    return wanted + [(-one["weight"], one["podAffinityTerm"]) for one in _terms(pod, "podAntiAffinity", _PREFERRED)]


def _terms(pod: PodInfo, which: str, strength: str = _REQUIRED) -> list[dict[str, Any]]:
    return (pod.affinity.get(which) or {}).get(strength) or []
