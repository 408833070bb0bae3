"""`netsim down`: end the daemon of a cluster and remove all that is marked as the cluster's, daemon or no daemon."""

from __future__ import annotations

import click

from workbench.cli.errors import require_root
from workbench.cli.options import known_names, name_option

EPILOG = """\b
Examples:
  sudo netsim down               the cluster called netsim
  sudo netsim down --name lab
  sudo netsim down --all         every cluster on this host"""


@click.command("down", epilog=EPILOG)
@name_option()
@click.option("--all", "everything", is_flag=True, help="Every cluster on this host.")
@click.pass_context
def command(ctx: click.Context, name: str, everything: bool) -> None:
    """Remove a cluster: its pods, nodes, network, data and files. The host is then as it was before `up`.

    Works also when the daemon was killed, and when there is nothing to remove.
    """
    if everything and ctx.get_parameter_source("name") is click.core.ParameterSource.COMMANDLINE:
        raise click.UsageError("--all and --name exclude each other", ctx)
    require_root("down")
    from workbench.cli.removal import remove

    if not everything:
        _tell(name, remove(name))
        return
    from netsim.inventory import clusters

    names = sorted({*clusters(), *known_names()})
    if not names:
        click.echo("there is no cluster; nothing to remove")
    for each in names:
        _tell(each, remove(each))


def _tell(name: str, removed: str) -> None:
    if removed:
        click.echo(f"cluster {name} is removed: {removed}")
    else:
        click.echo(f"there is no cluster {name}; nothing to remove")
