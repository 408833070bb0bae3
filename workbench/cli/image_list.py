"""`netsim image list`: what there is."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click

from controlplane.node.images.index import Index, StoredImage
from controlplane.node.images.library import users_of
from workbench.cli.imagestore import readable, store
from workbench.cli.status import table
from workbench.cli.typed import typed

EPILOG = """\b
Examples:
  sudo netsim image list
  sudo netsim image list -o json | jq '.[].names'"""


@click.command("list", epilog=EPILOG)
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def command(output: str) -> None:
    """Show the images of this host, and how many containers run on each."""
    with store("list") as library:
        index = library.index()
        found = [_describe(image, index) for image in sorted(index.images.values(), key=lambda each: each.added)]
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo(f"there are no images; containers run stand-ins. Add one with: {typed('image', 'load', 'FILE')}")
    else:
        click.echo(table(("IMAGE", "ID", "SIZE", "ADDED", "IN USE BY"), [row for each in found for row in _rows(each)]))


def _describe(image: StoredImage, index: Index) -> dict[str, Any]:
    return {
        "id": image.id,
        "names": index.names_of(image.key),
        "digests": index.digests_of(image.key),
        "sizeBytes": image.size,
        "architecture": image.architecture,
        "created": image.created,
        "added": datetime.fromtimestamp(image.added, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "containers": users_of(image.key),
    }


def _rows(image: dict[str, Any]) -> list[tuple[str, ...]]:
    count = len(image["containers"])
    used = f"{count} container{'s' if count > 1 else ''}" if count else "-"
    rest = (image["id"][7:19], readable(image["sizeBytes"]), image["added"], used)
    return [(name, *rest) for name in image["names"] or image["digests"]]
