"""What is kept of a cluster when a test fails: objects, events, and the rules and routes of each node."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from netsim import firewall, namespace
from workbench.testing.cluster import Cluster

_KINDS = "nodes,pods,services,endpointslices,networkpolicies,deployments,replicasets,statefulsets,daemonsets,jobs"
_COMMANDS = {
    "links": ["ip", "-d", "link"],
    "addresses": ["ip", "addr"],
    "routes": ["ip", "route", "show", "table", "all"],
}


def collect(cluster: Cluster, directory: Path, captures: Sequence[Path]) -> None:
    """Writes it all below `directory`, in place of what an earlier run has left there."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    (directory / "objects.yaml").write_text(cluster.kubectl("get", _KINDS, "-A", "-o", "yaml"))
    (directory / "events.txt").write_text(cluster.kubectl("get", "events", "-A", "--sort-by=.lastTimestamp"))
    for name in (*(node["metadata"]["name"] for node in cluster.json("get", "nodes")["items"]), "router"):
        _place(namespace.namespace_path(f"{cluster.name}-{name}"), directory / name)
    for capture in captures:
        shutil.copy(capture, directory)


def _place(netns: Path, directory: Path) -> None:
    if not netns.exists():
        return
    directory.mkdir()
    with namespace.entered(netns):
        (directory / "iptables-save").write_text(firewall.save(counters=True))
        for name, argv in _COMMANDS.items():
            (directory / name).write_text(firewall.run(argv))
