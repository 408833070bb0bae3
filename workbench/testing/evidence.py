"""What is kept of a cluster when a test fails: packets, rules, routes, objects and events.

Each part is kept by itself: of a cluster whose API has died there are still its captures and its rules.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from controlplane.config import ResolvedCluster
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


def collect(cluster: Cluster, directory: Path, running: Sequence[Captured], captures: Sequence[Path]) -> list[str]:
    """Writes it all below `directory`, in place of what an earlier run has left there.

    Captures that are still `running` are ended, so that their files are whole. Returns what could not be had.
    """
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    parts: list[Callable[[], object]] = [
        *(captured.stop for captured in running),
        *(partial(shutil.copy, file, directory) for file in captures),
        lambda: _kernel(cluster, directory),
        lambda: _print(cluster, directory / "objects.yaml", "get", _KINDS, "-A", "-o", "yaml"),
        lambda: _print(cluster, directory / "events.txt", "get", "events", "-A", "--sort-by=.lastTimestamp"),
    ]
    problems = []
    for part in parts:
        try:
            part()
        except (subprocess.SubprocessError, NetsimError, OSError) as error:
            problems.append(str(error))
    return problems


def _print(cluster: Cluster, file: Path, *arguments: str) -> None:
    file.write_text(cluster.kubectl(*arguments))


def _kernel(cluster: Cluster, directory: Path) -> None:
    nodes = [node.name for node in ResolvedCluster.load(cluster.directories.state).nodes]
    for name in (*nodes, "router"):
        netns = namespace.namespace_path(f"{cluster.name}-{name}")
        if netns.exists():
            _place(netns, directory / name)


def _place(netns: Path, directory: Path) -> None:
    directory.mkdir()
    with namespace.entered(netns):
        (directory / "iptables-save").write_text(firewall.save(counters=True))
        for name, argv in _COMMANDS.items():
            (directory / name).write_text(firewall.run(argv))
