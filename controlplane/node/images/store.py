"""Where a container's root file system comes from.

The pod worker asks an `ImageStore` for an image and never learns whether it is unpacked layers or a
stand-in. Images that were loaded or pulled (`local.py`) are asked for before the stand-in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from controlplane.node.errors import ImageFailure
from controlplane.node.images.accounts import Accounts
from controlplane.node.images.reference import parse
from controlplane.node.runtime.oci import Mount

MissingImage = Literal["standin", "pull", "error"]


@dataclass(frozen=True, slots=True)
class Image:
    """An image that can be run. `user` is as in the image: "user[:group]" by name or number, "" for root; `pulled` is
    the event's message. `key` is how its source knows it; `volumes` are paths; `size` is in bytes."""

    reference: str
    id: str
    pulled: str
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    user: str = ""
    working_dir: str = "/"
    stop_signal: str = ""
    volumes: tuple[str, ...] = ()
    key: str = ""
    size: int = 0
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

    def accounts(self, image: Image) -> Accounts | None:
        """The users and groups of the image, or None where it has none. Blocking file work."""
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

    def resolve(self, reference: str, pull_policy: str) -> tuple[Image, ImageSource] | None:
        """The image and the source that unpacks it, or None where it has to be pulled first.

        ImageFailure with upstream's reason when it can be neither. A registry is asked only where the cluster's config
        says `pull`; otherwise the policy Always, too, is satisfied with what is here, so that a cluster works offline.
        """
        parse(reference)
        pulls = self._missing == "pull"
        if not (pulls and pull_policy == "Always"):
            found = self.present(reference)
            if found is not None:
                return found
        if self._missing == "standin":
            image = self._standin.find(reference)
            assert image is not None
            return image, self._standin
        if pull_policy == "Never":
            raise ImageFailure(
                "ErrImageNeverPull", f'Container image "{reference}" is not present with pull policy of Never'
            )
        if pulls:
            return None
        raise ImageFailure(
            "ErrImagePull",
            "the image is not on this machine, and images.missing of this cluster is error; "
            f"to have it: netsim image pull {reference}",
        )

    def present(self, reference: str) -> tuple[Image, ImageSource] | None:
        """The image and its source if it is on this machine."""
        for source in self._local:
            image = source.find(reference)
            if image is not None:
                return image, source
        return None
