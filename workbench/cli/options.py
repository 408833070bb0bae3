"""Options that several subcommands share, and the names of the clusters on this host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from controlplane.directories import RUN_ROOT, STATE_ROOT, Directories
from controlplane.pidfile import running_pid
from workbench.cli.errors import UserError
from workbench.cli.typed import NAME_VARIABLE, typed

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def known_names() -> list[str]:
    """The clusters that have a directory on this host, running or not."""
    roots = (STATE_ROOT, RUN_ROOT)
    return sorted({path.name for root in roots if root.is_dir() for path in root.iterdir() if path.is_dir()})


def complete_names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Cluster names for the shell."""
    return [CompletionItem(name) for name in known_names() if name.startswith(incomplete)]


def name_option(default: str | None = "netsim") -> Callable[[Decorated], Decorated]:
    """`--name`, checked to be a name that a cluster can have."""
    return click.option(
        "--name",
        default=default,
        show_default=default is not None,
        envvar=NAME_VARIABLE,
        show_envvar=True,
        metavar="NAME",
        shell_complete=complete_names,
        callback=_check_name,
        help="Name of the cluster.",
    )


def namespace_option(text: str = "Namespace of names without one.") -> Callable[[Decorated], Decorated]:
    """`--namespace`, as kubectl has it; `text` says of what."""
    return click.option("-n", "--namespace", metavar="NAMESPACE", default="default", show_default=True, help=text)


def existing(name: str) -> Directories:
    """The directories of a cluster that exists; UserError, with the names there are, if it does not."""
    directories = Directories(name)
    if not directories.state.is_dir():
        others = known_names()
        remedy = f"there is: {', '.join(others)}; choose with --name" if others else f"start one with: {typed('up')}"
        raise UserError(f"there is no cluster {name}", remedy)
    return directories


def running(name: str) -> Directories:
    """The directories of a cluster whose daemon runs; UserError, with how to start it, if it does not."""
    directories = existing(name)
    if running_pid(directories.pid_file) is None:
        raise UserError(f"cluster {name} does not run", f"start it: {typed('up', cluster=name)}")
    return directories


def _check_name(ctx: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    if name is None:
        return None
    from controlplane.config.errors import ConfigError
    from controlplane.config.names import check_cluster_name

    try:
        return check_cluster_name(name)
    except ConfigError as error:
        raise click.BadParameter(f"{error.found}; {error.allowed}") from error
