"""From what the command line asks for to the cluster.json that the daemon reads: read it if it is there, else make it.

A cluster that has a cluster.json keeps it for as long as it lives: that is what gives it the same addresses after a
reboot.
"""

from __future__ import annotations

from dataclasses import replace

from controlplane.config import CLUSTER_FILE, ClusterConfig, ResolvedCluster
from controlplane.config.differences import differences
from controlplane.config.host import port_owner, port_owner_beside, taken_by_clusters, taken_by_host
from controlplane.config.resolve import resolve
from controlplane.directories import Directories
from netsim import loop
from workbench.cli.errors import UserError
from workbench.cli.files import write_atomically
from workbench.cli.locks import locked
from workbench.cli.typed import typed


def is_settled(directories: Directories) -> bool:
    """Whether the cluster has its configuration: it was started once and not removed since."""
    return (directories.state / CLUSTER_FILE).exists()


def settle(directories: Directories, config: ClusterConfig) -> ResolvedCluster:
    """The cluster's configuration. UserError or ConfigError if it cannot be had as asked, or not now."""
    if is_settled(directories):
        cluster = ResolvedCluster.load(directories.state)
        _refuse_other(cluster, config)
        _refuse_taken_port(cluster)
        return cluster
    # The lock is on what all clusters share: two commands must not choose the same free range.
    with locked(directories.state.parent, create=True):
        name = directories.name
        taken = [*taken_by_clusters(name), *taken_by_host()]
        if config.volumes is None and not loop.is_available():
            config = replace(config, volumes="directory")
        cluster = resolve(config, taken=taken, port_owner=port_owner_beside(name), name=name)
        write_atomically(directories.state / CLUSTER_FILE, cluster.to_json().encode(), mode=0o644)
    return cluster


def _refuse_other(cluster: ResolvedCluster, config: ClusterConfig) -> None:
    other = differences(config, cluster)
    if other:
        raise UserError(
            f"cluster {cluster.name} exists with another configuration:\n  " + "\n  ".join(other),
            f"start it as it is, without these options; or remove it first: {typed('down', cluster=cluster.name)}",
        )


def _refuse_taken_port(cluster: ResolvedCluster) -> None:
    owner = port_owner(cluster.api_address, cluster.api_port)
    if owner is not None:
        raise UserError(
            f"the API port {cluster.api_port} of cluster {cluster.name} is in use by {owner}",
            f"stop that; or remove the cluster and start it anew: {typed('down', cluster=cluster.name)}",
        )
