"""`netsim image load`: images from archives and OCI layouts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import BinaryIO

import click

from workbench.cli.errors import UserError
from workbench.cli.imagestore import store, telling

EPILOG = """\b
Examples:
  docker save myapp:1.0 | sudo netsim image load -
  sudo netsim image load myapp.tar.gz web.tar
  sudo netsim image load --as myapp:1.0 ./build/oci-layout"""


@click.command("load", epilog=EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True, path_type=Path))
@click.option("--as", "name", metavar="NAME", help="The image's name; for one image that has none, or another.")
def command(files: tuple[Path, ...], name: str | None) -> None:
    """Add the images of docker archives, OCI archives, compressed or not, or OCI layout directories.

    A FILE of - is standard input. Prints the names. Pods of every cluster on this host can use them at once.
    """
    if name is not None and len(files) > 1:
        raise click.UsageError("--as names one image, and there are several files", click.get_current_context())
    with store("load") as library:
        for file in files:
            with telling(str(file)) as tell:
                added = library.load(_opened(file), name=name, tell=tell)
            for image in added:
                for each in image.names:
                    click.echo(f"loaded {each}")


def _opened(file: Path) -> Path | BinaryIO:
    if str(file) != "-":
        if not file.exists():
            raise UserError(f"there is no file {file}")
        return file
    if sys.stdin.isatty():
        raise UserError("standard input is a terminal", "give it an archive: docker save IMAGE | netsim image load -")
    return sys.stdin.buffer
