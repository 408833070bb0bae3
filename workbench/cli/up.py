"""`netsim up`: settle the configuration of a cluster, start its daemon, and say what to type next.

A cluster that runs is left as it is; to ask for another configuration of it is an error. One that is stopped, by a
reboot or because its daemon died, is started from its own cluster.json, so it has the same addresses as before, and
the daemon adopts the pods that still run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click

from controlplane.config import DEFAULT_NAME, ClusterConfig, ResolvedCluster
from controlplane.config.differences import differences
from controlplane.config.types import numbered_nodes
from controlplane.directories import Directories
from controlplane.pidfile import running_pid
from netsim import probe
from workbench.cli import launch
from workbench.cli.errors import UserError, require_root
from workbench.cli.locks import locked
from workbench.cli.options import name_option
from workbench.cli.progress import steps
from workbench.cli.settling import is_settled, settle
from workbench.cli.signals import uninterrupted
from workbench.cli.typed import typed

MAX_NODES = 1000
EPILOG = """\b
Examples:
  sudo netsim up                        three nodes
  sudo netsim up --nodes 5 --name lab   a second cluster beside the first
  sudo netsim up --config cluster.yaml  see docs/cluster-config.md"""


@click.command("up", epilog=EPILOG)
@click.option(
    "--config",
    "file",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="The cluster's description, a cluster.yaml; - is standard input.",
)
@name_option(default=None)
@click.option(
    "--nodes", type=click.IntRange(0, MAX_NODES), metavar="N", help="Number of nodes; goes before the file's."
)
def command(file: Path | None, name: str | None, nodes: int | None) -> None:
    """Start a cluster, or start it again; a cluster that runs is left as it is."""
    require_root("up")
    begun = time.monotonic()
    config = _wanted(file, name, nodes)
    directories = Directories(config.name or DEFAULT_NAME)
    with locked(directories.state, create=True):
        pid = running_pid(directories.pid_file)
        if pid is not None:
            _tell_running(directories, pid, config)
            return
        cluster, started = _bring_up(directories, config)
    _report(cluster, started, time.monotonic() - begun)


def _wanted(file: Path | None, name: str | None, nodes: int | None) -> ClusterConfig:
    """The configuration that the command line asks for: options go before the file."""
    config = ClusterConfig()
    if file is not None:
        from controlplane.config.parse import load, parse

        config = parse(sys.stdin.read(), file="standard input") if str(file) == "-" else load(file)
    if nodes is not None:
        config = replace(config, nodes=numbered_nodes(nodes))
    return replace(config, name=name or config.name)


def _bring_up(directories: Directories, config: ClusterConfig) -> tuple[ResolvedCluster, launch.Started]:
    """Settle and start; a new cluster that does not come up is removed again, so that nothing is left of it."""
    new = not is_settled(directories)
    try:
        probe.require()
        _require_netem(config)
        cluster = settle(directories, config)
        with steps() as step:
            return cluster, launch.start(directories, step)
    except BaseException as error:
        if new:
            from workbench.cli.removal import remove_locked

            with uninterrupted():
                remove_locked(directories)
        elif isinstance(error, launch.StartFailed) and not error.remedy:
            error.remedy = f"see {directories.log}"
        raise


def _require_netem(config: ClusterConfig) -> None:
    """Refuse delay, jitter and loss where the kernel has none, before anything is made."""
    for index, rule in enumerate(config.paths or ()):
        if rule.impaired:
            path = f"spec.network.paths[{index}]"
            probe.require_netem(f"{config.sources[path]}: {path}" if path in config.sources else path)


def _tell_running(directories: Directories, pid: int, config: ClusterConfig) -> None:
    """Say that the cluster runs; UserError if it is not what was asked for."""
    other = differences(config, ResolvedCluster.load(directories.state))
    if other:
        raise UserError(
            f"cluster {directories.name} runs (pid {pid}) with another configuration; nothing was changed:\n  "
            + "\n  ".join(other),
            _remedy(other, directories.name),
        )
    click.echo(f"cluster {directories.name} is already running (pid {pid}); nothing was changed")


def _remedy(other: Sequence[str], name: str) -> str:
    ways = ["leave it as it is"]
    if any(line.startswith("spec.nodes:") for line in other):
        ways.append(
            f"change its nodes: {typed('node', 'add', cluster=name)}, {typed('node', 'remove', 'NODE', cluster=name)}"
        )
    return "; or ".join([*ways, f"remove it first: {typed('down', cluster=name)}"])


def _report(cluster: ResolvedCluster, started: launch.Started, seconds: float) -> None:
    nodes = "1 node" if len(cluster.nodes) == 1 else f"{len(cluster.nodes)} nodes"
    click.secho(f"cluster {cluster.name} is ready: {nodes}, in {seconds:.1f} s", fg="green")
    click.echo(f"  API             {started.api}")
    for subnet in cluster.subnets:
        if subnet.pod_range is not None:
            pods = f"nodes {subnet.range}, pods {subnet.pod_range}"
            click.echo(f"  subnet          {subnet.name} ({subnet.region}): {pods}")
    for node in cluster.nodes:
        if node.pod_range is None:
            click.secho(
                f"  node {node.name} is not Ready: its subnet {node.subnet} has no range for pods left", fg="yellow"
            )
    click.echo(f"  Services        {cluster.service_range}")
    click.echo(f"  load balancers  {cluster.load_balancer_range}")
    export = typed("kubeconfig", "--export", cluster=cluster.name)
    click.echo(f'next:\n  eval "$({export})"\n  kubectl get nodes')
