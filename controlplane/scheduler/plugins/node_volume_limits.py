"""NodeVolumeLimits: a node has no more disks attached than its CSINode says that the driver can.

What is asked is what pods want, not what is attached: two pods decided in a row must not both get the last place.
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api import claims
from controlplane.scheduler.claims import Claims
from controlplane.scheduler.framework import ClusterEvent, NodeFilter, Refusal
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

_TOO_MANY = Refusal(("node(s) exceed max volume count",), resolvable=True)


class NodeVolumeLimits:
    """Whether a node has places left for the disks of a pod."""

    name = "NodeVolumeLimits"
    wakes_on = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.POD_GONE, ClusterEvent.STORAGE})

    def __init__(self, found: Claims) -> None:
        self._claims = found

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        wanted = self._disks(pod)
        if not wanted:
            return None

        def check(node: NodeInfo) -> Refusal | None:
            limit = self._claims.most_disks(node.name)
            # Most nodes are far from it, and to know that is cheap.
            if limit is None or len(wanted) + sum(_volumes(other) for other in node.pods.values()) <= limit:
                return None
            used = set().union(*(self._disks(other) for other in node.pods.values()))
            return _TOO_MANY if not wanted <= used and len(used | wanted) > limit else None

        return check

    def _disks(self, pod: PodInfo) -> set[str]:
        """Names for the disks of a pod, those included that are yet to be made."""
        if not pod.spec.get("volumes"):
            return set()
        found = set(claims.by_own_disk(pod.pod))
        for claim in self._claims.of(pod):
            name = self._claims.disk_name(claim)
            if name is not None:
                found.add(name)
        return found


def _volumes(pod: PodInfo) -> int:
    return len(pod.spec.get("volumes") or ())
