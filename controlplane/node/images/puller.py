"""Pulls images for the nodes of this process: one at a time, as the kubelet does unless told otherwise.

One at a time over all nodes: they share the store, so an image that one of them has pulled is there for all.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from controlplane.node.errors import StoreFailure
from controlplane.node.images.index import StoredImage
from controlplane.node.images.library import ImageLibrary, PullOptions
from controlplane.node.images.programs import Programs
from controlplane.node.images.reference import Reference

_one_at_a_time = threading.Lock()


@dataclass(frozen=True, slots=True)
class Pulled:
    """What was pulled, in how many seconds, and in how many with the wait for other pulls."""

    image: StoredImage
    seconds: float
    waited: float


class Puller:
    """`close` ends what runs; programs carry the cluster's mark, so that they are found if this process is killed."""

    def __init__(self, cluster: str, scratch: Path) -> None:
        self._programs = Programs({"NETSIM_CLUSTER": cluster})
        self._library = ImageLibrary(programs=self._programs)
        self._scratch = scratch
        self._thread = ThreadPoolExecutor(1, "image-pull")

    async def pull(self, reference: Reference, credentials: Sequence[bytes], *, always: bool) -> Pulled:
        """Fetches an image, trying the credentials in turn and then this host's own; StoreFailure with skopeo's words.

        Unless `always`, one that another pull has brought meanwhile is taken as it is.
        """
        asked = time.monotonic()

        def work() -> Pulled:
            with _one_at_a_time:
                began = time.monotonic()
                present = None if always else self._library.index().of_name(str(reference))
                image = present or self._try(reference, credentials)
                ended = time.monotonic()
            return Pulled(image, ended - began, ended - asked)

        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def close(self) -> None:
        """Lets go of the thread; what it is at ends soon."""
        self._programs.close()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _try(self, reference: Reference, credentials: Sequence[bytes]) -> StoredImage:
        for each in credentials:
            try:
                return self._with(reference, each)
            except StoreFailure:
                # The next may do; the last attempt says what is wrong.
                continue
        return self._library.pull(reference).image

    def _with(self, reference: Reference, credentials: bytes) -> StoredImage:
        descriptor, path = tempfile.mkstemp(dir=self._scratch, prefix=".auth-", suffix=".json")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(credentials)
            return self._library.pull(reference, PullOptions(authfile=Path(path))).image
        finally:
            os.unlink(path)
