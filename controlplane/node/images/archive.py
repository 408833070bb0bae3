"""What an archive or a directory of images holds: `docker save`, `podman save`, `skopeo copy`, OCI layouts.

It only finds the images and their names, and takes an OCI archive apart; converting is skopeo's work. Archives are not
trusted: of an OCI archive nothing is taken but regular files whose names are those of the OCI layout.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.node.errors import ImageFailure, StoreFailure
from controlplane.node.images.reference import parse

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
_COMPRESSED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ": lzma.open,
}
LARGEST_DOCUMENT = 4 * 1024 * 1024
_LAYOUT_MEMBER = re.compile(r"(?:\./)?(oci-layout|index\.json|blobs/[a-z0-9]+/[0-9a-f]{32,128})")
_KINDS = "a docker archive, an OCI archive or an OCI layout"


@dataclass(frozen=True, slots=True)
class FoundImage:
    """One image in a source: what skopeo calls it, and its names in full."""

    source: str
    names: tuple[str, ...]


def images_in(path: Path, work: Path, label: str) -> list[FoundImage]:
    """The images of an archive, compressed or not, or of a directory; `work` is for what has to be taken apart, and
    `label` is what the user calls it.

    StoreFailure when it is something else, or broken.
    """
    if path.is_dir():
        if not (path / "index.json").is_file():
            raise StoreFailure(f"{label} is not {_KINDS}", "an OCI layout has a file index.json")
        return _of_layout(path, work, label)
    archive = work / "archive"
    try:
        _plain(path, archive)
        with tarfile.open(archive, "r:") as tar:
            return _of_archive(tar, archive, work, label)
    except tarfile.ReadError as error:
        remedy = "decompress it first" if _is_zstd(path) else "make one with: docker save IMAGE -o FILE"
        raise StoreFailure(f"{label} is not {_KINDS}", remedy) from error
    except (EOFError, tarfile.TarError, OSError, lzma.LZMAError, zlib.error) as error:
        raise StoreFailure(f"{label} cannot be read: {error}") from error


def _of_archive(tar: tarfile.TarFile, archive: Path, work: Path, label: str) -> list[FoundImage]:
    members = {member.name.removeprefix("./"): member for member in tar}
    if "manifest.json" in members:
        entries = _document(tar, members["manifest.json"])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise StoreFailure(f"{label} is broken: its manifest.json is no list of images")
        return [
            FoundImage(f"docker-archive:{archive}:@{number}", _full_names(entry.get("RepoTags") or ()))
            for number, entry in enumerate(entries)
        ]
    if "index.json" not in members:
        raise StoreFailure(f"{label} is not {_KINDS}", "it has neither manifest.json nor index.json")
    layout = work / "source"
    for name, member in members.items():
        if _LAYOUT_MEMBER.fullmatch(name) and member.isreg():
            _extract(tar, member, layout / name)
    return _of_layout(layout, work, label)


def _of_layout(layout: Path, work: Path, label: str) -> list[FoundImage]:
    try:
        manifests = json.loads((layout / "index.json").read_bytes())["manifests"]
        found = []
        for number, descriptor in enumerate(manifests):
            alone = work / f"layout-{number}"
            _single(layout, alone, descriptor)
            found.append(FoundImage(f"oci:{alone}:image", _annotated(descriptor.get("annotations") or {})))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreFailure(f"{label} is broken: its index.json cannot be read: {error}") from error
    return found


def _single(layout: Path, alone: Path, descriptor: dict[str, Any]) -> None:
    """A layout of one image with a name that skopeo can be told, over the blobs of another."""
    alone.mkdir()
    (alone / "blobs").symlink_to((layout / "blobs").resolve())
    (alone / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    named = {**descriptor, "annotations": {REF_NAME: "image"}}
    (alone / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [named]}))


def _annotated(annotations: dict[str, str]) -> tuple[str, ...]:
    """containerd and docker write the whole name; others write it, or a tag alone, as ref.name."""
    if CONTAINERD_NAME in annotations:
        return _full_names((annotations[CONTAINERD_NAME],))
    name = annotations.get(REF_NAME) or ""
    return _full_names((name,)) if "/" in name or ":" in name else ()


def _full_names(names: object) -> tuple[str, ...]:
    if not isinstance(names, list | tuple):
        return ()
    try:
        return tuple(str(parse(str(name))) for name in names)
    except ImageFailure as error:
        raise StoreFailure(f"the archive has a name that no image can have: {error}") from error


def _document(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Any:
    opened = tar.extractfile(member) if member.size <= LARGEST_DOCUMENT else None
    if opened is None:
        raise StoreFailure(f"{member.name} of the archive is no file, or too large")
    with opened:
        try:
            return json.load(opened)
        except ValueError as error:
            raise StoreFailure(f"{member.name} of the archive is broken: {error}") from error


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    opened = tar.extractfile(member)
    assert opened is not None
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened, target.open("wb") as file:
        shutil.copyfileobj(opened, file, 1024 * 1024)


def _plain(path: Path, archive: Path) -> None:
    """Makes `archive` the uncompressed content of `path`; a link to it where it is not compressed.

    Also because skopeo takes a colon in a path for the end of it.
    """
    start = _start_of(path)
    opener = next((opener for magic, opener in _COMPRESSED.items() if start.startswith(magic)), None)
    if opener is None:
        archive.symlink_to(path.resolve())
        return
    with opener(path, "rb") as source, archive.open("wb") as target:
        shutil.copyfileobj(source, target, 1024 * 1024)


def _is_zstd(path: Path) -> bool:
    return _start_of(path).startswith(b"\x28\xb5\x2f\xfd")


def _start_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(8)
