"""NodeName: a pod that names its node goes nowhere else.

Such a pod is bound from its creation and reaches the scheduler only to be counted; the plugin is
here for what-if questions.
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.scheduler.framework import ClusterEvent, NodeFilter, Refusal
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

_REFUSED = Refusal(("node(s) didn't match the requested node name",))


class NodeName:
    name = "NodeName"
    wakes_on = frozenset({ClusterEvent.NODE_ADDED})

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        wanted = pod.spec.get("nodeName")
        if not wanted:
            return None
        return lambda node: None if node.name == wanted else _REFUSED
