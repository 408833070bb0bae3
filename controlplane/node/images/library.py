"""The image store: adding images from archives and registries, listing, removing, and roots for containers.

Everything here blocks and touches files; daemons call it in threads, the command line directly.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from controlplane.directories import RUN_ROOT
from controlplane.node.errors import StoreFailure
from controlplane.node.images.archive import FoundImage, images_in
from controlplane.node.images.directory import StoreDirectory
from controlplane.node.images.index import Index, StoredImage
from controlplane.node.images.programs import Programs, Tell
from controlplane.node.images.reference import Reference, parse

MARK = "image"
"""The file in a container's bundle that says which image it runs on."""
_SKOPEO_PREFIX = re.compile(r"^(?:Error parsing image name \"[^\"]*\": |initializing source \S+: )+")
OVERLAY_ATTRIBUTES = ("trusted.overlay.", "user.overlay.")


@dataclass(frozen=True, slots=True)
class Added:
    """An image that was added, under which names; `fresh` when the store did not have it before."""

    image: StoredImage
    names: tuple[str, ...]
    fresh: bool


@dataclass(frozen=True, slots=True)
class PullOptions:
    """How a registry is talked to; `authfile` is in the form of ~/.docker/config.json, None for skopeo's default."""

    verify_tls: bool | None = None
    authfile: Path | None = None


class ImageLibrary:
    """One image store on this host."""

    def __init__(self, directory: StoreDirectory | None = None, programs: Programs | None = None) -> None:
        self.directory = directory or StoreDirectory()
        self._programs = programs or Programs()
        self._seen: tuple[int, int, int] | None = None
        self._index = Index()

    def index(self) -> Index:
        """What there is now; read again only when the file is another."""
        try:
            status = os.stat(self.directory.index)
            stamp = (status.st_ino, status.st_mtime_ns, status.st_size)
        except FileNotFoundError:
            return Index()
        if stamp != self._seen:
            self._index, self._seen = Index.read(self.directory.index), stamp
        return self._index

    # Adding.

    def load(self, source: Path | BinaryIO, *, name: str | None = None, tell: Tell | None = None) -> list[Added]:
        """Adds the images of an archive or an OCI layout; `name` is for the one image of an archive.

        A stream is written to a file first, for an archive is read more than once. StoreFailure when it is no archive,
        when it is broken, or when an image in it has no name.
        """
        with self.directory.adding() as work:
            path = source if isinstance(source, Path) else _spooled(source, work)
            label = str(source) if isinstance(source, Path) else "standard input"
            found = images_in(path, work, label)
            if not found:
                raise StoreFailure(f"{label} holds no image")
            if name is not None:
                if len(found) > 1:
                    raise StoreFailure(f"{label} holds {len(found)} images: one name is not enough for them")
                found = [FoundImage(found[0].source, (str(parse(name)),))]
            if not all(image.names for image in found):
                raise StoreFailure(f"an image in {label} has no name", "give it one with: --as NAME")
            added = [self._copy(work, each.source, each.names, (), tell=tell) for each in found]
        self.sweep()
        return added

    def pull(self, reference: Reference, options: PullOptions | None = None, *, tell: Tell | None = None) -> Added:
        """Fetches an image from its registry, if the registry's is another than ours; StoreFailure with its words."""
        try:
            added = self._pull(reference, options or PullOptions(), tell)
        except StoreFailure as failure:
            why = _SKOPEO_PREFIX.sub("", str(failure))
            raise StoreFailure(f'failed to pull and unpack image "{reference}": {why}', failure.remedy) from failure
        self.sweep()
        return added

    def _pull(self, reference: Reference, options: PullOptions, tell: Tell | None) -> Added:
        arguments = _registry_arguments(reference, options)
        with self.directory.adding() as work:
            wanted = _source(reference)
            raw = self._programs.run("skopeo", "inspect", "--raw", *arguments, wanted, scratch=work)
            digest = reference.digest or f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}"
            repository = f"{reference.domain}/{reference.path}"
            pinned = f"{repository}@{digest}"
            names = (str(Reference(reference.domain, reference.path, reference.tag)),) if reference.tag else ()
            known = self.index().digests.get(pinned)
            if known is not None:
                return self._rename(known, names, pinned)
            more = [f"--src-{argument.removeprefix('--')}" for argument in arguments if "tls" in argument]
            more += [argument for argument in arguments if "tls" not in argument]
            return self._copy(work, f"docker://{pinned}", names, (pinned,), arguments=more, tell=tell)

    def _copy(
        self,
        work: Path,
        source: str,
        names: Sequence[str],
        digests: Sequence[str],
        *,
        arguments: Sequence[str] = (),
        tell: Tell | None = None,
    ) -> Added:
        layout = work / f"image-{len(list(work.iterdir()))}"
        layout.mkdir()
        (layout / "blobs").symlink_to(self.directory.blobs)
        self._programs.run(
            *("skopeo", "--insecure-policy", "copy", *arguments, source, f"oci:{layout}:image"),
            scratch=work,
            tell=tell,
        )
        image = self._describe(layout)
        if tell is not None:
            tell("Unpacking")
        self._unpack(work, layout, image)
        return self._commit(image, names, digests)

    def _describe(self, layout: Path) -> StoredImage:
        digest = json.loads((layout / "index.json").read_bytes())["manifests"][0]["digest"]
        manifest = json.loads(self.directory.blob(digest).read_bytes())
        parts = [manifest["config"], *manifest["layers"]]
        config: dict[str, Any] = json.loads(self.directory.blob(manifest["config"]["digest"]).read_bytes())
        if config.get("os", "linux") != "linux":
            raise StoreFailure(f"the image is for {config['os']}, and containers here run on Linux")
        return StoredImage(
            key=manifest["config"]["digest"].partition(":")[2],
            manifest=digest,
            blobs=tuple(dict.fromkeys([digest, *(part["digest"] for part in parts)])),
            size=sum(part["size"] for part in parts) + self.directory.blob(digest).stat().st_size,
            added=time.time(),
            created=config.get("created") or "",
            architecture=config.get("architecture") or "",
            config=config.get("config") or {},
        )

    def _unpack(self, work: Path, layout: Path, image: StoredImage) -> None:
        base = self.directory.base(image.key)
        if base.exists():
            return
        fresh = work / f"root-{image.key}"
        self._programs.run("umoci", "raw", "unpack", "--image", f"{layout}:image", str(fresh), scratch=work)
        _drop_overlay_attributes(fresh)
        self.directory.sync()
        with suppress(FileExistsError, OSError):
            # If another process was faster, its root is as good.
            fresh.rename(base)
        if not base.is_dir():
            raise StoreFailure(f"the root of the image cannot be put to {base}")

    def _commit(self, image: StoredImage, names: Iterable[str], digests: Iterable[str]) -> Added:
        with self.directory.locked():
            before = Index.read(self.directory.index)
            changed = before.added(image, dict.fromkeys(names, image.key), dict.fromkeys(digests, image.key))
            changed.write(self.directory.index)
        return Added(image, tuple(names), fresh=image.key not in before.images)

    def _rename(self, key: str, names: Sequence[str], pinned: str) -> Added:
        with self.directory.locked():
            before = Index.read(self.directory.index)
            image = before.images.get(key)
            if image is None:
                raise StoreFailure("the image was removed meanwhile", "try again")
            changed = before.added(image, dict.fromkeys(names, key), {pinned: key})
            if changed != before:
                changed.write(self.directory.index)
        return Added(image, tuple(names), fresh=False)

    # Removing.

    def find(self, text: str) -> StoredImage | None:
        """The image of a name as a person writes it, or of the beginning of an ID."""
        index = self.index()
        key = text.removeprefix("sha256:").lower()
        if len(key) >= 4 and all(letter in "0123456789abcdef" for letter in key):
            matching = [image for image in index.images.values() if image.key.startswith(key)]
            if len(matching) == 1:
                return matching[0]
        reference = parse(text)
        return index.of_name(_pinned(reference) if reference.digest else str(reference))

    def remove(self, text: str, *, force: bool = False) -> list[str]:
        """Removes a name, and the image with its last one; an ID stands for all its names. Returns what is gone.

        StoreFailure when there is none, or a container runs on it and it is not `force`: then its files stay until the
        last such container has ended.
        """
        self.directory.ensure()
        image = self.find(text)
        if image is None:
            raise StoreFailure(f"there is no image {text}", "see: netsim image list")
        with self.directory.locked():
            before = Index.read(self.directory.index)
            name = "" if image.key.startswith(text.removeprefix("sha256:").lower()) else str(parse(text))
            changed = before.without_names({name}) if name else before.without_image(image.key)
            if name and not changed.names_of(image.key):
                # What is left of it is only the digest under which its registry has it.
                changed = changed.without_image(image.key)
            users = users_of(image.key)
            if image.key not in changed.images and users and not force:
                others = f" and {len(users) - 1} more" if len(users) > 1 else ""
                raise StoreFailure(
                    f"the image {text} is in use by {users[0]}{others}", "remove those pods first, or use --force"
                )
            changed.write(self.directory.index)
        self.sweep()
        return _lost(before, changed) or [image.id]

    def prune(self) -> list[str]:
        """Removes the images that no container runs on; returns their names."""
        self.directory.ensure()
        with self.directory.locked():
            before = Index.read(self.directory.index)
            changed = before
            for key in before.images:
                if not users_of(key):
                    changed = changed.without_image(key)
            if changed != before:
                changed.write(self.directory.index)
        self.sweep()
        return _lost(before, changed)

    def sweep(self) -> None:
        """Removes what no image needs, unless somebody is adding one just now."""
        place = self.directory
        with place.sweeping() as alone:
            if not alone:
                return
            trash = place.incoming / f"trash-{os.getpid()}-{time.monotonic_ns()}"
            trash.mkdir()
            with place.locked():
                index = Index.read(place.index)
                blobs = {blob.partition(":")[2] for image in index.images.values() for blob in image.blobs}
                for blob in (place.blobs / "sha256").iterdir():
                    if blob.name not in blobs:
                        blob.unlink()
                for base in place.roots.iterdir():
                    if base.name not in index.images and not users_of(base.name):
                        base.rename(trash / base.name)
            for left in place.incoming.iterdir():
                shutil.rmtree(left, ignore_errors=True)

    # For containers.

    def claim(self, key: str, bundle: Path) -> Path | None:
        """The root of an image for a container, whose bundle then says so; None when the image has been removed."""
        with self.directory.locked(shared=True):
            base = self.directory.base(key)
            if key not in self.index().images or not base.is_dir():
                return None
            (bundle / MARK).write_text(key)
        return base


def _lost(before: Index, after: Index) -> list[str]:
    """The names that are no more."""
    return sorted({*before.names, *before.digests} - {*after.names, *after.digests})


def _spooled(stream: BinaryIO, work: Path) -> Path:
    path = work / "stream"
    with path.open("wb") as file:
        shutil.copyfileobj(stream, file, 1024 * 1024)
    return path


def users_of(key: str) -> list[str]:
    """The containers of all clusters on this host that run on an image, in words."""
    found = []
    for mark in RUN_ROOT.glob(f"*/nodes/*/containers/*/{MARK}"):
        with suppress(FileNotFoundError, NotADirectoryError, ValueError):
            if mark.read_text() == key and not (mark.parent / "exit").exists():
                found.append(_user(mark.parent))
    return sorted(found)


def _user(bundle: Path) -> str:
    cluster = bundle.relative_to(RUN_ROOT).parts[0]
    try:
        record = json.loads((bundle / "record.json").read_bytes())
    except FileNotFoundError:
        return f"a container of cluster {cluster} that is being made"
    return f"pod {record['pod_namespace']}/{record['pod_name']} of cluster {cluster}"


def _source(reference: Reference) -> str:
    """What skopeo calls it: it takes a tag or a digest, and not both."""
    return f"docker://{_pinned(reference) if reference.digest else reference}"


def _pinned(reference: Reference) -> str:
    return f"{reference.domain}/{reference.path}@{reference.digest}"


def _registry_arguments(reference: Reference, options: PullOptions) -> list[str]:
    found = [f"--authfile={options.authfile}"] if options.authfile is not None else []
    verify = options.verify_tls
    if verify is None and is_loopback(reference.domain):
        # As containerd and docker: a registry on this host needs no certificate.
        verify = False
    return found if verify is None else [*found, f"--tls-verify={'true' if verify else 'false'}"]


def is_loopback(domain: str) -> bool:
    """Whether a registry is on this host by its name."""
    host = domain if domain.endswith("]") else domain.rsplit(":", 1)[0]
    return host in ("localhost", "[::1]") or host.startswith("127.")


def _drop_overlay_attributes(root: Path) -> None:
    """An image must not tell the overlay over it where else to look."""
    for where, directories, names in os.walk(root):
        for name in (".", *directories, *names):
            path = os.path.join(where, name)
            for attribute in os.listxattr(path, follow_symlinks=False):
                if attribute.startswith(OVERLAY_ATTRIBUTES):
                    os.removexattr(path, attribute, follow_symlinks=False)
