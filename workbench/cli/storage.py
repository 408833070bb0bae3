"""`netsim storage`: what a cluster keeps of its pods' data: disks, and the exports of its file servers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click

from controlplane.api.quantity import NANO, QuantityError, render, whole
from controlplane.directories import Directories, export_disks, volume_disks
from netsim.disks import Disks
from netsim.errors import AlreadyExists, NotFound
from netsim.exports import ANY_SERVER, Exports
from workbench.cli.errors import UserError, require_root
from workbench.cli.options import existing, name_option
from workbench.cli.status import table
from workbench.cli.typed import typed

EPILOG = """\b
Examples:
  sudo netsim storage list
  sudo netsim storage export add /data
  sudo netsim storage export add nfs.example.com:/srv/www --size 1Gi
  sudo netsim storage export list
  sudo netsim storage export remove /data"""
_EXAMPLE = "write a path, or SERVER:/PATH, as /data or nfs.example.com:/data"


@click.group("storage", epilog=EPILOG)
def command() -> None:
    """Show disks, and add, show and remove the directories that file servers export.

    A volume of kind nfs mounts an export by server and path. What pods write to it stays until it is removed, or the
    cluster is.
    """


@command.command("list")
@name_option()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def show(name: str, output: str) -> None:
    """Show the disks of a cluster: their size, what they take of the host's disk, and on which nodes they are."""
    require_root("storage list")
    directories = existing(name)
    found = [_disk(directories, disk) for disk in volume_disks(directories.state).names()]
    rows = [(one["name"], _quantity(one["size"]), _quantity(one["used"]), _joined(one["nodes"])) for one in found]
    _print(found, ("DISK", "SIZE", "USED", "NODES"), rows, output, "there are no disks; a claim makes one")


@command.group("export")
def export() -> None:
    """Add, show and remove exports."""


@export.command("add")
@name_option()
@click.argument("export", metavar="[SERVER:]/PATH")
@click.option("--size", metavar="SIZE", help="How much it holds, as 1Gi; without, as much as the host's disk.")
def add(name: str, export: str, size: str | None) -> None:
    """Make an empty directory that a server exports; without a server, any server does."""
    require_root("storage export add")
    exports = _exports(existing(name))
    server, path = _parsed(export)
    wanted = _bytes(size)
    try:
        added = exports.add(server, path, wanted)
    except AlreadyExists as error:
        raise UserError(f"{server}:{path} is exported already", _see(name)) from error
    click.echo(f"{added} is exported")
    if size is None:
        click.echo(f"  its files  {exports.disks.root / added.disk / 'data'}")


@export.command("list")
@name_option()
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Format.")
def show_exports(name: str, output: str) -> None:
    """Show the exports of a cluster, and on which nodes they are mounted."""
    require_root("storage export list")
    directories = existing(name)
    exports = _exports(directories)
    found: list[dict[str, Any]] = []
    for one in exports.list():
        sized = (exports.disks.root / one.disk / "image").exists()
        size = exports.disks.size(one.disk) if sized else None
        nodes = _nodes(directories, f"export-{one.disk}")
        found.append({"server": one.server, "path": one.path, "size": size, "nodes": nodes})
    rows = [
        (one["server"], one["path"], _quantity(one["size"]) if one["size"] else "-", _joined(one["nodes"]))
        for one in found
    ]
    nothing = f"there are no exports; add one with: {typed('storage', 'export', 'add', '/data', cluster=name)}"
    _print(found, ("SERVER", "PATH", "SIZE", "NODES"), rows, output, nothing)


@export.command("remove")
@name_option()
@click.argument("export", metavar="[SERVER:]/PATH")
def remove(name: str, export: str) -> None:
    """Remove an export with all that is in it; not while a pod has it mounted."""
    require_root("storage export remove")
    directories = existing(name)
    exports = _exports(directories)
    server, path = _parsed(export)
    for one in exports.list():
        if (one.server, one.path) == (server, path):
            nodes = _nodes(directories, f"export-{one.disk}")
            if nodes:
                raise UserError(f"{one} is mounted on {_joined(nodes)}", "delete the pods that use it first")
    try:
        exports.remove(server, path)
    except NotFound as error:
        there = f"there are {_joined(map(str, exports.list()))}" if exports.list() else "there are none"
        raise UserError(f"{server}:{path} is not exported", there) from error
    click.echo(f"{server}:{path} is no longer exported")


def _exports(directories: Directories) -> Exports:
    return Exports(export_disks(directories.state))


def _parsed(text: str) -> tuple[str, str]:
    server, colon, path = text.rpartition(":")
    if not path.startswith("/") or (colon and not server):
        raise UserError(f"{text!r} is no export", _EXAMPLE)
    return server or ANY_SERVER, path


def _bytes(size: str | None) -> int | None:
    if size is None:
        return None
    try:
        found = whole(size)
    except QuantityError:
        found = 0
    if found <= 0:
        raise UserError(f"{size!r} is no size", "write a number of bytes with a unit, as 512Mi or 1Gi")
    return found


def _quantity(size: int) -> str:
    """Bytes as Kubernetes writes them, and a claim asks for them: two digits or more, rounded up."""
    unit = 1
    while size >= unit * 1024 * 10:
        unit *= 1024
    return render(-(-size // unit) * unit * NANO, "binary")


def _disk(directories: Directories, name: str) -> dict[str, Any]:
    disks = volume_disks(directories.state)
    nodes = _nodes(directories, f"disk-{name}")
    return {"name": name, "size": disks.size(name), "used": _used(disks, name), "nodes": nodes}


def _used(disks: Disks, name: str) -> int:
    return sum(path.lstat().st_blocks * 512 for path in (disks.root / name).rglob("*"))


def _nodes(directories: Directories, key: str) -> list[str]:
    """The nodes on which a pod has it mounted, from what the node agents write down."""
    return sorted(path.parts[-3] for path in (directories.run / "nodes").glob("*/staged/*") if path.name == key)


def _see(cluster: str) -> str:
    return f"see: {typed('storage', 'export', 'list', cluster=cluster)}"


def _joined(names: Iterable[str]) -> str:
    return ", ".join(names) or "-"


def _print(
    found: list[dict[str, Any]], head: tuple[str, ...], rows: Sequence[tuple[str, ...]], output: str, nothing: str
) -> None:
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo(nothing)
    else:
        click.echo(table(head, list(rows)))
