"""`netsim image remove`: names, and images with their last name."""

from __future__ import annotations

import click

from workbench.cli.imagestore import store

EPILOG = """\b
Examples:
  sudo netsim image remove myapp:1.0
  sudo netsim image remove 3fa5c2d81b07"""


@click.command("remove", epilog=EPILOG)
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--force", is_flag=True, help="Also while containers run on it; they keep its files until they end.")
def command(names: tuple[str, ...], force: bool) -> None:
    """Remove images by name, or by ID with all their names.

    An image goes with its last name. One that a container runs on is refused.
    """
    with store("remove") as library:
        for name in names:
            for gone in library.remove(name, force=force):
                click.echo(f"removed {gone}")
