"""`netsim image pull`: images from a registry."""

from __future__ import annotations

import click

from controlplane.node.images.library import PullOptions
from controlplane.node.images.reference import parse
from workbench.cli.imagestore import readable, store, telling

EPILOG = """\b
Examples:
  sudo netsim image pull nginx:1.27
  sudo netsim image pull --tls-verify=false registry.lab:5000/myapp:1.0
  sudo REGISTRY_AUTH_FILE=~/.docker/config.json netsim image pull ghcr.io/me/private:2"""


@click.command("pull", epilog=EPILOG)
@click.argument("references", nargs=-1, required=True, metavar="NAME...")
@click.option(
    "--tls-verify",
    type=click.BOOL,
    default=None,
    metavar="true|false",
    help="Ask for a valid certificate; by default of every registry that is not on this host.",
)
def command(references: tuple[str, ...], tls_verify: bool | None) -> None:
    """Fetch images from their registries, by skopeo: its configuration of mirrors and credentials counts.

    Credentials are those of `skopeo login`, `podman login` or `docker login` of root, or of the file that
    REGISTRY_AUTH_FILE names.
    """
    with store("pull") as library:
        for text in references:
            reference = parse(text)
            with telling(str(reference)) as tell:
                added = library.pull(reference, PullOptions(verify_tls=tls_verify), tell=tell)
            word = "pulled" if added.fresh else "up to date:"
            click.echo(f"{word} {reference} ({readable(added.image.size)})")
