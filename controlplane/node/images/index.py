"""The index of the image store: which images there are, and under which names.

Plain data and its file. A reader gets a snapshot; the file is replaced as a whole, under the store's lock.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from controlplane.node.errors import StoreFailure
from netsim import files

VERSION = 1


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image: `key` is the hex digest of its config, by which everybody knows it; `blobs` are all digests that it
    consists of; `size` is theirs together in bytes, `added` is in epoch seconds; `config` is the OCI image config's
    `config`."""

    key: str
    manifest: str
    blobs: tuple[str, ...]
    size: int
    added: float
    created: str = ""
    architecture: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """What is shown as the image's ID."""
        return f"sha256:{self.key}"


@dataclass(frozen=True, slots=True)
class Index:
    """`names` maps references in full, and `digests` repositories with a digest that a registry gave, to keys."""

    images: Mapping[str, StoredImage] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)

    def of_name(self, name: str) -> StoredImage | None:
        """The image of a full reference, by tag or by digest."""
        key = self.names.get(name) or self.digests.get(name)
        return self.images.get(key) if key else None

    def names_of(self, key: str) -> list[str]:
        """All references to an image by tag, in order."""
        return sorted(name for name, wanted in self.names.items() if wanted == key)

    def digests_of(self, key: str) -> list[str]:
        """All references to an image by digest, in order."""
        return sorted(name for name, wanted in self.digests.items() if wanted == key)

    def added(self, image: StoredImage, names: Mapping[str, str], digests: Mapping[str, str]) -> Index:
        """With one image more, or one in place of what it was. Another that loses its last name by it goes."""
        every, pinned = {**self.names, **names}, {**self.digests, **digests}
        named = {image.key, *every.values(), *pinned.values()}
        kept = {key: other for key, other in {**self.images, image.key: image}.items() if key in named}
        return Index(kept, every, pinned)

    def without_names(self, names: set[str]) -> Index:
        """Without these names; an image that has no other goes too."""
        kept = {name: key for name, key in self.names.items() if name not in names}
        digests = {name: key for name, key in self.digests.items() if name not in names}
        lost = {key for name, key in (*self.names.items(), *self.digests.items()) if name in names}
        gone = {key for key in lost if key not in kept.values() and key not in digests.values()}
        return Index({key: image for key, image in self.images.items() if key not in gone}, kept, digests)

    def without_image(self, key: str) -> Index:
        """Without an image and all its names."""
        return Index(
            {other: image for other, image in self.images.items() if other != key},
            {name: other for name, other in self.names.items() if other != key},
            {name: other for name, other in self.digests.items() if other != key},
        )

    def write(self, path: Path) -> None:
        """Replaces the file; it is on the disk when this returns."""
        document = {"version": VERSION, **asdict(self)}
        files.replace(path, orjson.dumps(document, option=orjson.OPT_INDENT_2), mode=0o600, durable=True)

    @classmethod
    def read(cls, path: Path) -> Index:
        """What the file says; an empty index where there is none."""
        try:
            document = orjson.loads(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except orjson.JSONDecodeError as error:
            raise StoreFailure(f"{path} is broken: {error}", "remove it, and load the images again") from error
        if document.get("version") != VERSION:
            raise StoreFailure(f"{path} was written by another version of netsim", "remove it, and load again")
        images = {
            key: StoredImage(**entry | {"blobs": tuple(entry["blobs"])}) for key, entry in document["images"].items()
        }
        return cls(images, document["names"], document["digests"])
