"""The plugins of the default profile, in the order in which upstream runs them."""

from __future__ import annotations

from controlplane.scheduler.claims import Claims
from controlplane.scheduler.framework import FilterPlugin, ScorePlugin
from controlplane.scheduler.plugins.balanced_allocation import BalancedAllocation
from controlplane.scheduler.plugins.inter_pod_affinity import InterPodAffinity, NamespaceLabels
from controlplane.scheduler.plugins.node_affinity import NodeAffinity
from controlplane.scheduler.plugins.node_name import NodeName
from controlplane.scheduler.plugins.node_ports import NodePorts
from controlplane.scheduler.plugins.node_resources_fit import NodeResourcesFit
from controlplane.scheduler.plugins.node_unschedulable import NodeUnschedulable
from controlplane.scheduler.plugins.node_volume_limits import NodeVolumeLimits
from controlplane.scheduler.plugins.pod_topology_spread import PodTopologySpread
from controlplane.scheduler.plugins.taint_toleration import TaintToleration
from controlplane.scheduler.plugins.unsupported import Unsupported
from controlplane.scheduler.plugins.volume_binding import ClaimsBound, VolumeBinding, VolumeRestrictions


def default_plugins(namespace_labels: NamespaceLabels, claims: Claims) -> tuple[list[FilterPlugin], list[ScorePlugin]]:
    """The filters and the scores that every pod passes through."""
    taints, affinity = TaintToleration(), NodeAffinity()
    resources, spread = NodeResourcesFit(), PodTopologySpread()
    pods = InterPodAffinity(namespace_labels)
    filters: list[FilterPlugin] = [
        Unsupported(),
        ClaimsBound(claims),
        NodeUnschedulable(),
        NodeName(),
        taints,
        affinity,
        NodePorts(),
        resources,
        VolumeRestrictions(claims),
        NodeVolumeLimits(claims),
        VolumeBinding(claims),
        spread,
        pods,
    ]
    scores: list[ScorePlugin] = [taints, affinity, resources, BalancedAllocation(), spread, pods]
    return filters, scores
