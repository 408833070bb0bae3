"""VolumeBinding and VolumeRestrictions: a pod goes where its volumes are or can be made, and waits for those of others.

In three parts, as what is wrong with the claims themselves is wrong on every node and is said once.
"""

from __future__ import annotations

from collections.abc import Sequence

from controlplane.api import claims
from controlplane.api.types import Object
from controlplane.api.volume_matching import reaches
from controlplane.scheduler.claims import Claims, single_pod_claims
from controlplane.scheduler.framework import ClusterEvent, NodeFilter, Refusal
from controlplane.scheduler.node_info import NodeInfo
from controlplane.scheduler.pod_info import PodInfo

_ELSEWHERE = Refusal(("node(s) had volume node affinity conflict",))
_NONE_FREE = Refusal(("node(s) didn't find available persistent volumes to bind",))
_GONE = Refusal(("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",))
_NO_DISK = Refusal(("node(s) had no available disk",), resolvable=True)
_IN_USE = Refusal(
    ("node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",), resolvable=True
)


class ClaimsBound:
    """Whether the claims are there, and bound or to be bound here."""

    name = "VolumeBinding"
    wakes_on = frozenset({ClusterEvent.STORAGE})

    def __init__(self, found: Claims) -> None:
        self._claims = found

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        said = self._claims.refusal(pod) if pod.spec.get("volumes") else None
        if said is None:
            return None
        refused = Refusal((said,), of_pod=True)
        return lambda node: refused


class VolumeBinding:
    """Whether a node can have the volumes."""

    name = "VolumeBinding"
    wakes_on = frozenset({ClusterEvent.NODE_ADDED, ClusterEvent.NODE_LABELS, ClusterEvent.STORAGE})

    def __init__(self, found: Claims) -> None:
        self._claims = found

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        wanted = self._claims.of(pod) if pod.spec.get("volumes") else []
        if not wanted:
            return None
        bound = [claim for claim in wanted if claims.is_bound(claim)]
        waiting = [claim for claim in wanted if not claims.is_bound(claim)]
        volumes = [self._claims.volumes.get(claim["spec"]["volumeName"]) for claim in bound]
        present = [volume for volume in volumes if volume is not None]

        def check(node: NodeInfo) -> Refusal | None:
            if len(present) < len(volumes):
                return _GONE
            if not all(reaches(volume, node.name, node.labels) for volume in present):
                return _ELSEWHERE
            return None if all(self._suits(claim, node) for claim in waiting) else _NONE_FREE

        return check

    def _suits(self, claim: Object, node: NodeInfo) -> bool:
        chosen = (claim["metadata"].get("annotations") or {}).get(claims.SELECTED_NODE)
        if chosen is not None and chosen != node.name:
            # A volume is being made for it elsewhere.
            return False
        return self._claims.volume_for(claim, node) is not None or self._claims.can_be_made(claim, node)


class VolumeRestrictions:
    """A ReadWriteOncePod claim is for one pod, wherever that is; a disk that a pod names itself, for one on a node."""

    name = "VolumeRestrictions"
    wakes_on = frozenset({ClusterEvent.POD_GONE, ClusterEvent.STORAGE})

    def __init__(self, found: Claims) -> None:
        self._claims = found

    def filter(self, pod: PodInfo, nodes: Sequence[NodeInfo]) -> NodeFilter | None:
        if not pod.spec.get("volumes"):
            return None
        wanted, disks = set(single_pod_claims(pod, self._claims)), _own_disks(pod)
        if wanted and self._is_taken(pod, wanted, nodes):
            return lambda node: _IN_USE
        if not disks:
            return None
        return lambda node: _NO_DISK if any(_conflict(disks, other) for other in node.pods.values()) else None

    def _is_taken(self, pod: PodInfo, wanted: set[str], nodes: Sequence[NodeInfo]) -> bool:
        return any(
            other.uid != pod.uid and not wanted.isdisjoint(claims.by_claim(other.pod))
            for node in nodes
            for other in node.pods.values()
            if other.namespace == pod.namespace
        )


def _own_disks(pod: PodInfo) -> dict[str, bool]:
    """The disks that a pod names itself, and whether it only reads them."""
    found = (claims.own_volume(volume) for volume in pod.spec.get("volumes") or ())
    return {one["metadata"]["name"]: one["spec"]["csi"]["readOnly"] for one in found if one is not None}


def _conflict(disks: dict[str, bool], other: PodInfo) -> bool:
    theirs = _own_disks(other)
    return any(name in theirs and not (reads and theirs[name]) for name, reads in disks.items())
