"""TaintToleration: NoSchedule and NoExecute taints refuse, PreferNoSchedule taints put off."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api.tolerations import untolerated
from controlplane.scheduler.framework import ClusterEvent, NodeFilter, Refusal, normalized
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

_REFUSED = Refusal(("node(s) had untolerated taint(s)",))
_REFUSING = ("NoSchedule", "NoExecute")
_PUTTING_OFF = ("PreferNoSchedule",)


class TaintToleration:
    name = "TaintToleration"
    weight = 3
    wakes_on = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_TAINTS})

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        tolerations = pod.tolerations

        def check(node: NodeInfo) -> Refusal | None:
            if node.taints and untolerated(node.taints, tolerations, _REFUSING):
                return _REFUSED
            return None

        return check

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[float] | None:
        if not any(node.taints for node in nodes):
            return None
        counts = [len(untolerated(node.taints, pod.tolerations, _PUTTING_OFF)) for node in nodes]
        return normalized(counts, reverse=True)
