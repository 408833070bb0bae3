"""Where a container's root file system comes from.

The pod worker asks an `ImageStore` for an image and never learns whether it is unpacked layers or a
stand-in. Local images (`netsim image load`, `pull`) are a second implementation of `ImageSource`,
asked before the stand-in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from controlplane.node.errors import ImageFailure
from controlplane.node.images.reference import parse
from controlplane.node.runtime.oci import Mount

MissingImage = Literal["standin", "pull", "error"]


@dataclass(frozen=True, slots=True)
class Image:
    """An image that can be run. `user` is "uid[:gid]" or a name, "" for root; `pulled` is the event's message."""

    reference: str
    id: str
    pulled: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    working_dir: str = "/"
    standin: bool = False


@dataclass(frozen=True, slots=True)
class RootFilesystem:
    """A root directory of one container alone, and what has to be mounted over it.

    `upper` is where a file can be put that the container shall see. With `overlay`, the data of an overlay mount,
    `root` is only the mount point: the mount is made while the container is created and is then its own.
    """

    root: Path
    upper: Path
    overlay: str = ""
    overlays: Sequence[Mapping[str, Any]] = ()
    mounts: Sequence[Mount] = ()


class ImageSource(Protocol):
    """One place that images come from."""

    def find(self, reference: str) -> Image | None:
        """The image, or None where this source has none of that name."""
        ...

    def unpack(self, image: Image, bundle: Path, data: Path, targets: Collection[str]) -> RootFilesystem:
        """Makes a private root for one container: small and short-lived things in `bundle`, on a tmpfs, and what the
        container writes in `data`. `targets` are the paths that will be mounted into it. Blocking file work."""
        ...


class ImageStore:
    """The sources in order; `missing` says what happens when none of them has an image."""

    def __init__(self, local: Sequence[ImageSource], standin: ImageSource, missing: MissingImage) -> None:
        self._local = tuple(local)
        self._standin = standin
        self._missing = missing

    def resolve(self, reference: str, pull_policy: str) -> tuple[Image, ImageSource]:
        """The image and the source that unpacks it; ImageFailure with upstream's reason."""
        parse(reference)
        sources = (*self._local, self._standin) if self._missing == "standin" else self._local
        for source in sources:
            image = source.find(reference)
            if image is not None:
                return image, source
        if pull_policy == "Never":
            raise ImageFailure(
                "ErrImageNeverPull", f'Container image "{reference}" is not present with pull policy of Never'
            )
        why = (
            "pulling is not available"
            if self._missing == "pull"
            else "missing images are errors in this cluster's config"
        )
        raise ImageFailure(
            "ErrImagePull", f'Failed to pull image "{reference}": image is not on this machine, and {why}'
        )
