"""`netsim image`: the images of this host, which all its clusters share. One module per subcommand."""

from __future__ import annotations

import importlib

import click

SUBCOMMANDS = {
    "load": "Add images from archives or OCI layouts.",
    "pull": "Add an image from its registry.",
    "list": "Show the images.",
    "remove": "Remove images.",
    "prune": "Remove what nobody uses.",
}
EPILOG = """\b
Examples:
  docker save myapp:1.0 | sudo netsim image load -
  sudo netsim image pull nginx:1.27
  sudo netsim image list"""


class _Images(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        command = importlib.import_module(f"workbench.cli.image_{cmd_name}").command
        assert isinstance(command, click.Command)
        return command


@click.group("image", cls=_Images, epilog=EPILOG)
def command() -> None:
    """Add, show and remove container images.

    A container whose image is here runs it; one whose image is not runs a stand-in, or what `images.missing` of the
    cluster's configuration says.
    """
