"""Images of the store as a source of root file systems: a read-only base for all, and an overlay for each container."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from controlplane.node.errors import ConfigFailure, CreationFailure, StoreFailure
from controlplane.node.images.accounts import Accounts, accounts_of, open_inside
from controlplane.node.images.index import Index, StoredImage
from controlplane.node.images.library import ImageLibrary
from controlplane.node.images.overlay import overlay_works
from controlplane.node.images.reference import parse
from controlplane.node.images.store import Image, RootFilesystem
from controlplane.node.runtime.oci import Mount

LONGEST_LIST = 50
"""Of images in a Node's status, as upstream."""
_UNSAFE = re.compile(r"[,:\\]")


class LocalImages:
    """The images that were loaded or pulled; see `ImageSource`."""

    def __init__(self, library: ImageLibrary) -> None:
        self.library = library

    def find(self, reference: str) -> Image | None:
        index = self.library.index()
        wanted = parse(reference)
        pinned = f"{wanted.domain}/{wanted.path}@{wanted.digest}"
        found = index.of_name(pinned if wanted.digest else str(wanted))
        return image_of(found, reference, index) if found is not None else None

    def accounts(self, image: Image) -> Accounts:
        return accounts_of(self.library.directory.base(image.key))

    def listed(self) -> list[dict[str, Any]]:
        """The largest images, as a Node's status shows them; none while the store cannot be read."""
        try:
            index = self.library.index()
        except StoreFailure:
            return []
        largest = sorted(index.images.values(), key=lambda image: (-image.size, image.key))[:LONGEST_LIST]
        return [
            {"names": [*index.digests_of(image.key), *index.names_of(image.key)], "sizeBytes": image.size}
            for image in largest
        ]

    def unpack(self, image: Image, bundle: Path, data: Path, targets: Collection[str]) -> RootFilesystem:
        base = self.library.claim(image.key, bundle)
        if base is None:
            raise ConfigFailure(f'image "{image.reference}" was removed while a container was made of it')
        if not overlay_works(data):
            raise CreationFailure(
                f"images need an overlay file system, and {data.parent.parent} cannot carry one: the kernel lacks "
                "overlayfs, or the directory is on an overlay itself"
            )
        upper = data / "upper"
        for directory in (bundle / "root", upper, data / "work"):
            os.mkdir(directory)
        status = os.stat(base)
        os.chown(upper, status.st_uid, status.st_gid)
        os.chmod(upper, status.st_mode & 0o7777)
        overlays, mounts = _volumes(image, base, data, targets)
        return RootFilesystem(
            bundle / "root",
            upper,
            overlay=f"lowerdir={base},upperdir={upper},workdir={data}/work",
            overlays=overlays,
            mounts=mounts,
        )


def image_of(stored: StoredImage, reference: str, index: Index) -> Image:
    """What the node agent has to know of an image."""
    config, digests = stored.config, index.digests_of(stored.key)
    names = index.names_of(stored.key)
    full = str(parse(reference))
    pairs = (entry.partition("=") for entry in config.get("Env") or [] if "=" in entry)
    return Image(
        reference=full if full in names else next(iter(names or digests), full),
        id=next((d for d in digests if d.partition("@")[0] == full.partition("@")[0].rpartition(":")[0]), stored.id),
        pulled=f'Container image "{reference}" already present on machine and can be accessed by the pod',
        entrypoint=tuple(config.get("Entrypoint") or ()),
        command=tuple(config.get("Cmd") or ()),
        environment={name: value for name, _, value in pairs},
        user=config.get("User") or "",
        working_dir=config.get("WorkingDir") or "/",
        stop_signal=config.get("StopSignal") or "",
        volumes=tuple(sorted(config.get("Volumes") or ())),
        key=stored.key,
        size=stored.size,
    )


def _volumes(
    image: Image, base: Path, data: Path, targets: Collection[str]
) -> tuple[list[Mapping[str, Any]], list[Mount]]:
    """Writable places for the image's volumes, also over a read-only root, with what the image has there."""
    overlays, mounts = list[Mapping[str, Any]](), list[Mount]()
    for number, volume in enumerate(image.volumes):
        target = os.path.normpath(f"/{volume}")
        if target in ("/", *targets) or ".." in volume.split("/") or _UNSAFE.search(target):
            continue
        own = data / f"volume-{number}"
        own.mkdir()
        lower = _directory_inside(base, target)
        if lower is None:
            mounts.append(Mount(str(own), target))
            continue
        upper, work = own / "upper", own / "work"
        upper.mkdir()
        work.mkdir()
        status = os.stat(lower)
        os.chown(upper, status.st_uid, status.st_gid)
        os.chmod(upper, status.st_mode & 0o7777)
        options = [f"lowerdir={lower},upperdir={upper},workdir={work}"]
        overlays.append({"destination": target, "type": "overlay", "source": "overlay", "options": options})
    return overlays, mounts


def _directory_inside(base: Path, target: str) -> str | None:
    """Where a directory of an image is on the host, links followed inside the image; the image does not change."""
    with suppress(OSError):
        descriptor = open_inside(base, target, os.O_PATH | os.O_DIRECTORY)
        try:
            found = os.readlink(f"/proc/self/fd/{descriptor}")
        finally:
            os.close(descriptor)
        return None if _UNSAFE.search(found) else found
    return None
