"""The directory of the image store: what is where, and who may change it when.

    lock            held, for moments, by whoever reads or replaces the index, or claims a root for a container
    adding          shared by all who add an image, for as long as that takes; alone by who sweeps
    index.json      the images and their names; replaced as a whole
    blobs/sha256/   manifests, configs and layers by their digest, as skopeo writes them
    roots/<hex>/    an image's root, unpacked once, read by the containers of every cluster
    incoming/       what is being made; moved to its place by a rename

Several clusters, daemons and commands share it. A process that is killed leaves at worst something in `incoming`, or a
blob that nobody names: the next who adds or removes sweeps it away.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from controlplane.directories import IMAGE_ROOT
from netsim import hostlock

PRIVATE = 0o700
_libc = ctypes.CDLL(None, use_errno=True)


class StoreDirectory:
    """The places of one store. For root alone: programs of images may have the setuid bit."""

    def __init__(self, root: Path = IMAGE_ROOT) -> None:
        self.root = root
        self.index = root / "index.json"
        self.blobs = root / "blobs"
        self.roots = root / "roots"
        self.incoming = root / "incoming"
        self._lock = root / "lock"
        self._adding = root / "adding"

    def ensure(self) -> None:
        """Makes what is missing."""
        self.root.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        self.root.chmod(PRIVATE)
        for path in (self.blobs / "sha256", self.roots, self.incoming, self._lock, self._adding):
            path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self, *, shared: bool = False) -> Iterator[None]:
        """Holds the lock of the index; nothing slow is done under it."""
        with hostlock.held(self._lock, shared=shared):
            yield

    @contextmanager
    def adding(self) -> Iterator[Path]:
        """A directory to make an image in; meanwhile nobody sweeps."""
        self.ensure()
        with hostlock.held(self._adding, shared=True):
            work = Path(tempfile.mkdtemp(dir=self.incoming))
            try:
                yield work
            finally:
                shutil.rmtree(work, ignore_errors=True)

    @contextmanager
    def sweeping(self) -> Iterator[bool]:
        """Whether nobody is adding an image, and nobody will before the block is left."""
        descriptor = os.open(self._adding, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
        finally:
            os.close(descriptor)

    def blob(self, digest: str) -> Path:
        """Where the content of that digest is."""
        algorithm, _, value = digest.partition(":")
        return self.blobs / algorithm / value

    def base(self, key: str) -> Path:
        """The unpacked root of the image whose config has that digest, without its algorithm."""
        return self.roots / key

    def sync(self) -> None:
        """Has what was written reach the disk, so that no index names content that a power loss took."""
        descriptor = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _libc.syncfs(descriptor)
        finally:
            os.close(descriptor)
