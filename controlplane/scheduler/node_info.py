"""A node as the scheduler sees it: what it offers, and what the pods on it use."""

from __future__ import annotations

from collections import Counter
from typing import Any

from controlplane.api.types import Object
from controlplane.scheduler.pod_info import HostPort, PodInfo
from controlplane.scheduler.resources import Amounts, amounts

HOSTNAME_LABEL = "kubernetes.io/hostname"
ZONE_LABEL = "topology.kubernetes.io/zone"


class NodeInfo:
    """Sums are kept as pods come and go. `exists` is false while pods name a node that is not there."""

    __slots__ = (
        "allocatable",
        "exists",
        "labels",
        "name",
        "owners",
        "pods",
        "ports",
        "score_cpu",
        "score_memory",
        "taints",
        "unschedulable",
        "used",
        "with_affinity",
        "with_anti_affinity",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.exists = False
        self.labels: dict[str, str] = {}
        self.taints: list[dict[str, Any]] = []
        self.unschedulable = False
        self.allocatable: Amounts = {}
        self.used: Amounts = {}
        self.score_cpu = 0
        self.score_memory = 0
        self.pods: dict[str, PodInfo] = {}
        self.ports: Counter[HostPort] = Counter()
        self.owners: Counter[tuple[str, str]] = Counter()
        self.with_affinity: dict[str, PodInfo] = {}
        """Pods with terms about other pods, of any kind."""
        self.with_anti_affinity: dict[str, PodInfo] = {}

    def set_node(self, node: Object) -> None:
        """Takes in what the Node object says."""
        spec = node.get("spec") or {}
        self.exists = True
        self.labels = node["metadata"].get("labels") or {}
        self.taints = spec.get("taints") or []
        self.unschedulable = bool(spec.get("unschedulable"))
        status = node.get("status") or {}
        self.allocatable = amounts(status.get("allocatable") or status.get("capacity"))

    def copy(self) -> NodeInfo:
        """One of its own to try things on; what cannot change is shared."""
        other = NodeInfo(self.name)
        other.exists, other.unschedulable = self.exists, self.unschedulable
        other.labels, other.taints, other.allocatable = self.labels, self.taints, self.allocatable
        other.score_cpu, other.score_memory = self.score_cpu, self.score_memory
        other.used, other.pods, other.ports = dict(self.used), dict(self.pods), Counter(self.ports)
        other.owners, other.with_anti_affinity = Counter(self.owners), dict(self.with_anti_affinity)
        other.with_affinity = dict(self.with_affinity)
        return other

    def add(self, pod: PodInfo) -> None:
        self.pods[pod.uid] = pod
        self._count(pod, 1)
        if pod.affinity.get("podAffinity") or pod.affinity.get("podAntiAffinity"):
            self.with_affinity[pod.uid] = pod
        if (pod.affinity.get("podAntiAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution"):
            self.with_anti_affinity[pod.uid] = pod

    def remove(self, uid: str) -> None:
        """Takes a pod off; nothing if it is not here."""
        pod = self.pods.pop(uid, None)
        if pod is not None:
            self._count(pod, -1)
            self.with_affinity.pop(uid, None)
            self.with_anti_affinity.pop(uid, None)

    def _count(self, pod: PodInfo, sign: int) -> None:
        used = self.used
        for name, value in pod.requests.items():
            used[name] = used.get(name, 0) + sign * value
        self.score_cpu += sign * pod.score_cpu
        self.score_memory += sign * pod.score_memory
        for port in pod.host_ports:
            self.ports[port] += sign
            if not self.ports[port]:
                del self.ports[port]
        if pod.controller and not pod.is_deleting:
            owner = (pod.namespace, pod.controller)
            self.owners[owner] += sign
            if not self.owners[owner]:
                del self.owners[owner]
