"""NodeResourcesBalancedAllocation: prefers the node whose CPU and memory would be used evenly."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.scheduler.framework import MAX_SCORE
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo
from controlplane.scheduler.resources import CPU, MEMORY


class BalancedAllocation:
    name = "NodeResourcesBalancedAllocation"
    weight = 1

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[float] | None:
        cpu, memory = pod.requests.get(CPU, 0), pod.requests.get(MEMORY, 0)
        if not cpu and not memory:
            return None
        return [(1 - abs(_share(node, CPU, cpu) - _share(node, MEMORY, memory)) / 2) * MAX_SCORE for node in nodes]


def _share(node: NodeInfo, resource: str, requested: int) -> float:
    allocatable = node.allocatable.get(resource, 0)
    return min(1.0, (node.used.get(resource, 0) + requested) / allocatable) if allocatable else 1.0
