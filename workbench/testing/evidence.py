"""What is kept of a cluster when a test fails: packets, rules, routes, objects, events and the daemon's log.

Each part is kept by itself: of a cluster whose API has died there are still its captures and its rules.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from controlplane.config import ConfigError, ResolvedCluster
from netsim import firewall, namespace
from netsim.errors import NetsimError
from workbench.testing.captured import Captured
from workbench.testing.cluster import Cluster

_KINDS = (
    "nodes,pods,services,endpointslices,networkpolicies,configmaps,persistentvolumeclaims,faults.netsim.io,"
    "deployments,replicasets,statefulsets,daemonsets,jobs,cronjobs"
)
_COMMANDS = {
    "links": ["ip", "-d", "link"],
    "addresses": ["ip", "addr"],
    "routes": ["ip", "route", "show", "table", "all"],
    "nft": ["nft", "list", "ruleset"],
    "connections": ["conntrack", "-L"],
}
_Part = Callable[[], object]


def collect(cluster: Cluster, directory: Path, running: Sequence[Captured], captures: Sequence[Path]) -> list[str]:
    """Writes it all below `directory`, in place of what an earlier run has left there.

    Captures that are still `running` are ended, so that their files are whole. Returns what could not be had.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    problems: list[str] = []

    def keep(part: _Part) -> None:
        try:
            part()
        except (subprocess.SubprocessError, NetsimError, ConfigError, OSError) as error:
            problems.append(str(error))

    for captured in running:
        keep(captured.stop)
    for file in captures:
        keep(partial(shutil.copy, file, directory))
    keep(partial(shutil.copy, cluster.directories.log, directory))
    keep(lambda: _kernel(cluster, directory, keep))
    keep(lambda: _print(cluster, directory / "objects.yaml", "get", _KINDS, "-A", "-o", "yaml"))
    keep(lambda: _print(cluster, directory / "events.txt", "get", "events", "-A", "--sort-by=.lastTimestamp"))
    return problems


def _print(cluster: Cluster, file: Path, *arguments: str) -> None:
    file.write_text(cluster.kubectl(*arguments))


def _kernel(cluster: Cluster, directory: Path, keep: Callable[[_Part], None]) -> None:
    nodes = [node.name for node in ResolvedCluster.load(cluster.directories.state).nodes]
    for name in (*nodes, "router"):
        netns = namespace.namespace_path(f"{cluster.name}-{name}")
        if not netns.exists():
            continue
        (directory / name).mkdir()
        keep(partial(_tell, netns, directory / name / "iptables-save", lambda: firewall.save(counters=True)))
        for command, argv in _COMMANDS.items():
            keep(partial(_tell, netns, directory / name / command, partial(firewall.run, argv)))


def _tell(netns: Path, file: Path, ask: Callable[[], str]) -> None:
    with namespace.entered(netns):
        file.write_text(ask())
