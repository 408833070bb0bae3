"""Follows every object of one kind without keeping any: for controllers that need only metadata.

An informer keeps whole objects, which for kinds that nobody else reads would double what the store
holds. This keeps uid and name, which is what it takes to report what went while it looked away.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from controlplane.api.errors import ApiError, Expired
from controlplane.api.types import Kind, Object
from controlplane.client.interface import Client

log = logging.getLogger(__name__)

RELIST_SECONDS = 1.0


class Listener(Protocol):
    """Is told of every object, and of every end."""

    def observe(self, kind: Kind, obj: Object) -> None: ...

    def gone(self, kind: Kind, uid: str) -> None: ...


class MetadataFeed:
    """Reports one kind to `listener`; `synced` is set when the first list has been."""

    def __init__(self, client: Client, kind: Kind, listener: Listener) -> None:
        self.kind = kind
        self.synced = asyncio.Event()
        self._client = client
        self._listener = listener
        self._known: set[str] = set()
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    async def run(self) -> None:
        """Lists, then watches, until stopped; then reports that all is gone."""
        self._task = asyncio.ensure_future(self._follow())
        try:
            if not self._stopped:
                await asyncio.wait({self._task})
        finally:
            self._task.cancel()
        if self._stopped:
            for uid in list(self._known):
                self._drop(uid)
            return
        self._task.result()

    def stop(self) -> None:
        """Ends the feed: its kind is served no longer."""
        self._stopped = True
        self.synced.set()
        if self._task is not None:
            self._task.cancel()

    async def _follow(self) -> None:
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                async for event in self._client.watch(self.kind, resource_version=version):
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type == "DELETED":
                        self._drop(event.object["metadata"]["uid"])
                    elif event.type != "BOOKMARK":
                        self._take(event.object)
            except Expired:
                version = ""
            except (ApiError, OSError) as error:
                log.warning("watch ended", extra={"kind": self.kind.name, "error": str(error)})
                await asyncio.sleep(RELIST_SECONDS)

    async def _list(self) -> str:
        listed = await self._client.list(self.kind)
        present = {obj["metadata"]["uid"] for obj in listed.items}
        for uid in self._known - present:
            self._drop(uid)
        for obj in listed.items:
            self._take(obj)
        self.synced.set()
        return listed.resource_version

    def _take(self, obj: Object) -> None:
        self._known.add(obj["metadata"]["uid"])
        self._listener.observe(self.kind, obj)

    def _drop(self, uid: str) -> None:
        self._known.discard(uid)
        self._listener.gone(self.kind, uid)
