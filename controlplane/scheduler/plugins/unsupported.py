"""Scheduling fields that netsim does not honour yet: such a pod waits, and its events say for what.

Placing it anyway would put it where it must not be, and nobody would know.
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.scheduler.framework import ClusterEvent, NodeFilter, Refusal
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

FIELDS = ("resourceClaims", "schedulingGroup", "workloadRef")


class Unsupported:
    name = "Unsupported"
    wakes_on: frozenset[ClusterEvent] = frozenset()

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        field = unsupported_field(pod)
        if field is None:
            return None
        refused = Refusal((f"pod uses {field}, which the scheduler of netsim does not support yet",))
        return lambda node: refused


def unsupported_field(pod: PodInfo) -> str | None:
    """The path of the first scheduling field of the pod that would not be honoured."""
    for field in FIELDS:
        if pod.spec.get(field):
            return f"spec.{field}"
    return None
