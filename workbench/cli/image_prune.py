"""`netsim image prune`: what nobody uses on this host, and can be had again."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import click

from controlplane.directories import CACHE_ROOT
from workbench.cli.imagestore import readable, store
from workbench.cli.options import known_names

EPILOG = """\b
Examples:
  sudo netsim image prune
  sudo netsim down --all && sudo netsim image prune     leaves the host without images and caches"""
_BUILT = re.compile(r"[a-z]+-[0-9a-f]{16}|tmp[a-z0-9_]{8}")
"""The stand-in's root and programs, by the hash of what they were built from, and what a kill left half built."""


@click.command("prune", epilog=EPILOG)
def command() -> None:
    """Remove all images that no container runs on.

    While there is no cluster on this host, also what netsim has built in /var/cache/netsim; the next one has it built
    again.
    """
    with store("prune") as library:
        gone = library.prune()
    for name in gone:
        click.echo(f"removed {name}")
    clusters = known_names()
    if clusters:
        kept = f"{CACHE_ROOT} stays while there is a cluster: {', '.join(clusters)}"
        click.echo(kept if gone else f"no image is unused; {kept}")
        return
    freed = drop_built(CACHE_ROOT)
    if freed:
        click.echo(f"removed what was built in {CACHE_ROOT}, {readable(freed)}")
    elif not gone:
        click.echo("there is nothing to remove")


def drop_built(cache: Path) -> int:
    """Removes what is built again when it is wanted; returns the bytes that it took."""
    built = [path for path in cache.iterdir() if _BUILT.fullmatch(path.name)] if cache.is_dir() else []
    freed = sum(_size(path) for path in built)
    for path in built:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    return freed


def _size(path: Path) -> int:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(os.lstat(file).st_blocks * 512 for file in files)
