"""Removing a cluster: what `down` does, and `up` when a new cluster does not come up."""

from __future__ import annotations

import click

from controlplane.directories import Directories
from netsim import inventory
from workbench.cli import exports, launch
from workbench.cli.locks import locked
from workbench.cli.progress import steps


def remove(name: str) -> str:
    """Stop a cluster's daemon and remove everything of it; returns what that was, empty if there was nothing."""
    directories = Directories(name)
    with locked(directories.state):
        return remove_locked(directories)


def remove_locked(directories: Directories) -> str:
    """The same, for a caller that holds the cluster's lock."""
    name = directories.name
    with steps() as step:
        step(f"stopping cluster {name}", 0, 0)
        pid = launch.stop(directories)
        copies = exports.to_take_back(directories)
        found = inventory.remove(name, lambda what, done, total: step(f"removing {what}", done, total))
    for line in exports.take_back(copies, name):
        click.echo(f"netsim: warning: a copy of the kubeconfig stays: {line}", err=True)
    return f"{found}{', 1 daemon' if pid is not None else ''}" if found or pid is not None else ""
