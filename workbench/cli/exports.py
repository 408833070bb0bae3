"""Copies of a cluster's kubeconfig in people's home directories: made for them, remembered, and taken back by `down`.

So is the cache that kubectl keeps of the API. Its own one goes by the server's address, which the next cluster has too.

What was made is written down in `exports.json` in the cluster's directory, since nothing else tells whose home
directory holds a copy.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

from controlplane.directories import Directories
from workbench.cli import kubeconfigs
from workbench.cli.errors import UserError
from workbench.cli.files import Owner, acting_as, invoking_owner, write_atomically
from workbench.cli.typed import typed

EXPORTS_FILE = "exports.json"


@dataclass(frozen=True, slots=True)
class Export:
    """One copy: a file of its own, or entries merged into one that may have others too, and may be `created` for it.

    Or the directory of kubectl's `cache`.
    """

    path: str
    uid: int
    merged: bool
    created: bool = True
    cache: bool = False


def content(directories: Directories) -> str:
    """The cluster's kubeconfig as YAML; UserError if the cluster was never ready."""
    text = _read(directories.admin_kubeconfig, None)
    if text is None:
        remedy = f"start it: {typed('up', cluster=directories.name)}"
        raise UserError(f"cluster {directories.name} has no kubeconfig yet", remedy)
    return kubeconfigs.dump(kubeconfigs.parse(text, file=str(directories.admin_kubeconfig))).decode()


def export(directories: Directories, owner: Owner) -> Path:
    """Put the cluster's kubeconfig where `owner` can read it, and say where; root reads the cluster's own file."""
    text = content(directories)
    if owner.uid == 0:
        return directories.admin_kubeconfig
    path = owner.home / ".kube" / f"{kubeconfigs.entry_name(directories.name)}.yaml"
    _remember(directories, Export(str(path), owner.uid, merged=False))
    with acting_as(owner):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        write_atomically(path, text.encode())
    return path


def cache(directories: Directories, owner: Owner) -> Path:
    """Where the owner's kubectl may keep what it knows of this cluster's API, and of no other's; `down` removes it."""
    item = _cache(directories, owner)
    _remember(directories, item)
    return Path(item.path)


def merge(directories: Directories, owner: Owner, variable: str = "") -> Path:
    """Merge the cluster's entries into the file that the owner's kubectl writes, and make them current; returns it.

    `variable` is what KUBECONFIG says.
    """
    own = kubeconfigs.parse(content(directories), file=str(directories.admin_kubeconfig))
    added = kubeconfigs.under_one_name(own, kubeconfigs.entry_name(directories.name))
    made = _made_by_us(directories.state.parent)
    with acting_as(owner):
        path = written_by_kubectl(owner, variable, made)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        text = _read(path, owner)
    before = kubeconfigs.parse(text or "", file=str(path))
    _remember(directories, Export(str(path), owner.uid, merged=True, created=text is None))
    with acting_as(owner):
        write_atomically(path, kubeconfigs.dump(kubeconfigs.merged(before, added)))
    return path


def written_by_kubectl(owner: Owner, variable: str, made: Collection[Path] = ()) -> Path:
    """The file that `kubectl config` writes to: of those in KUBECONFIG the first that exists, or else the last.

    Without any it is ~/.kube/config. Files `made` by netsim itself, which `kubeconfig --export` puts into KUBECONFIG,
    are passed over: they go with their cluster.
    """
    named = [Path(each).absolute() for each in variable.split(os.pathsep) if each]
    files = [path for path in named if path not in made]
    if not files:
        return owner.home / ".kube" / "config"
    return next((path for path in files if path.exists()), files[-1])


def _made_by_us(state_root: Path) -> set[Path]:
    """The kubeconfigs of all clusters, and the copies of them."""
    clusters = [Directories(path.name) for path in state_root.iterdir() if path.is_dir()]
    copies = {Path(item.path) for each in clusters for item in exported(each) if not item.merged}
    return copies | {each.admin_kubeconfig for each in clusters}


def exported(directories: Directories) -> list[Export]:
    """The copies that were made of this cluster's kubeconfig."""
    try:
        text = (directories.state / EXPORTS_FILE).read_text()
    except FileNotFoundError:
        return []
    return [Export(**item) for item in json.loads(text)]


def to_take_back(directories: Directories) -> list[Export]:
    """What there is of this cluster in home directories, with the cache of who calls.

    A shell that was told of an earlier cluster of that name has its kubectl fill that cache again.
    """
    found = exported(directories)
    try:
        own = _cache(directories, invoking_owner())
    except UserError:
        return found  # whom the host does not know has no home
    return found if own in found else [*found, own]


def take_back(exports: list[Export], cluster: str) -> list[str]:
    """Remove copies and merged entries; returns a line for each that could not be."""
    failed = []
    for item in exports:
        try:
            _take_back(item, kubeconfigs.entry_name(cluster))
        except (OSError, KeyError, UserError) as error:
            failed.append(f"{item.path}: {error}")
    return failed


def _take_back(item: Export, name: str) -> None:
    owner, path = Owner.of(item.uid), Path(item.path)
    with acting_as(owner):
        if item.cache:
            if path.exists():  # else no kubectl has used it
                shutil.rmtree(path)
            return
        if not item.merged:
            path.unlink(missing_ok=True)
            return
        text = _read(path, owner)
        if text is None:
            return
        before = kubeconfigs.parse(text, file=item.path)
        after = kubeconfigs.without(before, name)
        if item.created and kubeconfigs.is_empty(after):
            path.unlink()
        elif after != before:
            write_atomically(path, kubeconfigs.dump(after))


def _cache(directories: Directories, owner: Owner) -> Export:
    path = owner.home / ".kube" / "cache" / kubeconfigs.entry_name(directories.name)
    return Export(str(path), owner.uid, merged=False, cache=True)


def _remember(directories: Directories, item: Export) -> None:
    items = exported(directories)
    if all(each.path != item.path for each in items):
        data = json.dumps([asdict(each) for each in (*items, item)])
        write_atomically(directories.state / EXPORTS_FILE, data.encode())


def _read(path: Path, owner: Owner | None) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except PermissionError as error:
        who = owner.name if owner else "you"
        raise UserError(f"{path} cannot be read by {who}", f"if it should be: sudo chown {who} {path}") from error
