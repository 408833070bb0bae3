"""What a node agent is told: who its node is, where it lives, and the policies of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from controlplane.directories import CACHE_ROOT, export_disks, volume_disks
from controlplane.node.images.store import MissingImage
from netsim.disks import Disks

DISKS, EXPORTS = "disk", "export"
"""The stores that volumes come from: disks of the cloud, and what file servers export."""


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """One node. `namespace` is the path of its network namespace; `dns_address` is "" while the
    cluster has no DNS, and then pods get the host's resolv.conf. `cpu` and `memory` are what the node says it has, ""
    the host's own size; `taints` are those it registers with. `api_endpoint` is where the API server is to be reached
    from the node's namespace; with None that is taken for granted. `sized_volumes`: a disk holds no more than its
    size. Without `offloads` the links of pods leave no checksum open. `cni` is a network configuration list without
    its name, empty for the one that comes with netsim."""

    name: str
    cluster: str
    address: str
    pod_cidr: str
    namespace: Path
    state_directory: Path
    run_directory: Path
    mtu: int = 1460
    offloads: bool = True
    cni: Mapping[str, Any] = field(default_factory=dict)
    region: str = "us-central1"
    zone: str = "us-central1-a"
    instance_type: str = "netsim"
    labels: Mapping[str, str] = field(default_factory=dict)
    taints: tuple[Mapping[str, str], ...] = ()
    cpu: str = ""
    memory: str = ""
    max_pods: int = 110
    api_endpoint: tuple[str, int] | None = None
    missing_image: MissingImage = "standin"
    sized_volumes: bool = True
    dns_address: str = ""
    dns_domain: str = "cluster.local"
    cache_directory: Path = CACHE_ROOT
    workers: int = 6
    """Pods that are worked on at the same time."""

    @property
    def run(self) -> Path:
        """This node's part of the run directory."""
        return self.run_directory / "nodes" / self.name

    @property
    def pods(self) -> Path:
        """Logs, volumes and writable layers of this node's pods, one directory per uid."""
        return self.state_directory / "pods" / self.name

    @property
    def stores(self) -> dict[str, Disks]:
        """The disks of the cluster, by what they are for."""
        sized = self.sized_volumes
        return {DISKS: volume_disks(self.state_directory, sized=sized), EXPORTS: export_disks(self.state_directory)}

    @property
    def own(self) -> Path:
        """What else is on this node's disk: the manifests of its static pods."""
        return self.state_directory / "nodes" / self.name

    @property
    def addresses(self) -> Path:
        """Which pods of this node have which address."""
        return self.state_directory / "cni" / self.name
