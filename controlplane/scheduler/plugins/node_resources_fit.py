"""NodeResourcesFit: requests must fit into what is allocatable, and the emptier node scores higher."""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, NodeFilter, Refusal
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo
from controlplane.scheduler.resources import CPU, MEMORY, PODS

_TOO_MANY_PODS = "Too many pods"


class NodeResourcesFit:
    name = "NodeResourcesFit"
    weight = 1
    wakes_on = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_ALLOCATABLE, ClusterEvent.POD_GONE})

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        requests = [(name, value) for name, value in pod.requests.items() if value > 0]

        def check(node: NodeInfo) -> Refusal | None:
            allocatable = node.allocatable
            lacking = []
            if len(node.pods) + 1 > allocatable.get(PODS, 0):
                lacking.append(_TOO_MANY_PODS)
            impossible = False
            for name, value in requests:
                offered = allocatable.get(name, 0)
                if value > offered - node.used.get(name, 0):
                    lacking.append(f"Insufficient {name}")
                    impossible = impossible or value > offered
            return Refusal(tuple(lacking), resolvable=not impossible) if lacking else None

        return check

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> list[float] | None:
        return [
            (
                _free_share(node.allocatable.get(CPU, 0), node.score_cpu + pod.score_cpu)
                + _free_share(node.allocatable.get(MEMORY, 0), node.score_memory + pod.score_memory)
            )
            / 2
            for node in nodes
        ]


def _free_share(allocatable: int, requested: int) -> float:
    if requested > allocatable or allocatable == 0:
        return 0.0
    return (allocatable - requested) * MAX_SCORE / allocatable
