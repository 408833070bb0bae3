"""NodeUnschedulable: a cordoned node takes only pods that tolerate being there."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api.tolerations import tolerates
from controlplane.scheduler.framework import ClusterEvent, NodeFilter, Refusal
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

_REFUSED = Refusal(("node(s) were unschedulable",))
_CORDON = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class NodeUnschedulable:
    name = "NodeUnschedulable"
    wakes_on = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_SCHEDULABLE})

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        if tolerates(pod.tolerations, _CORDON):
            return None
        return lambda node: _REFUSED if node.unschedulable else None
