"""The configuration of a cluster: what the user wrote, and what it came to.

Three steps with a type each, so that no step guesses what another left open:

    cluster.yaml --parse--> ClusterConfig --resolve--> ResolvedCluster <--> cluster.json

`ClusterConfig` has None where the user left a choice. `ResolvedCluster` leaves nothing open; it is what the daemon
reads, so a cluster has the same addresses and the same port after a restart of the daemon or of the host.
Only `parse` needs YAML; the daemon never imports it.
"""

from controlplane.config.errors import ConfigError
from controlplane.config.types import (
    CLUSTER_FILE,
    DEFAULT_NAME,
    ClusterConfig,
    NodeConfig,
    ResolvedCluster,
    ResolvedNode,
    ResolvedSubnet,
    SubnetConfig,
)

__all__ = [
    "CLUSTER_FILE",
    "DEFAULT_NAME",
    "ClusterConfig",
    "ConfigError",
    "NodeConfig",
    "ResolvedCluster",
    "ResolvedNode",
    "ResolvedSubnet",
    "SubnetConfig",
]
