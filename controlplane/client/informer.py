"""A local, always-current copy of one kind, fed by list and watch.

Reconcilers read from informers and write through the client. An informer never loses a change:
when its watch ends it resumes from the last revision, and when that is compacted it lists again
and reports the differences. Cached objects are shared and must not be changed.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
from collections.abc import Callable, Iterable
from typing import Any

from controlplane.api.errors import ApiError, Expired
from controlplane.api.types import Kind, Object
from controlplane.client.interface import Client

log = logging.getLogger(__name__)

ObjectKey = tuple[str, str]
"""Namespace ("" for cluster-scoped kinds) and name."""

Handler = Callable[[Object | None, Object | None], None]
"""Called with (old, new): old is None for an object that came, new is None for one that went."""

Index = Callable[[Object], Iterable[str]]

RELIST_SECONDS = 1.0


def key_of(obj: Object) -> ObjectKey:
    """The informer key of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace", ""), metadata["name"]


class Informer:
    """One kind, optionally narrowed by a field selector or to one namespace."""

    def __init__(self, client: Client, kind: Kind, namespace: str = "", *, field_selector: str = "") -> None:
        self.kind = kind
        self._client = client
        self._namespace = namespace
        self._field_selector = field_selector
        self._objects: dict[ObjectKey, Object] = {}
        self._handlers: list[Handler] = []
        self._indexers: dict[str, Index] = {}
        self._indexes: dict[str, dict[str, dict[ObjectKey, Object]]] = {}
        self._synced = asyncio.Event()

    def add_handler(self, handler: Handler) -> None:
        """Registers `handler`, and calls it at once for each object already known."""
        self._handlers.append(handler)
        for obj in list(self._objects.values()):
            handler(None, obj)

    def remove_handler(self, handler: Handler) -> None:
        """Forgets a handler; nothing happens if it is not known."""
        if handler in self._handlers:
            self._handlers.remove(handler)

    def add_index(self, name: str, index: Index) -> None:
        """Keeps objects findable by each of the strings that `index` returns for them."""
        if name in self._indexers:
            return
        self._indexers[name] = index
        self._indexes[name] = {}
        for key, obj in self._objects.items():
            self._index_one(name, key, obj)

    def get(self, name: str, namespace: str = "") -> Object | None:
        return self._objects.get((namespace, name))

    def list(self, namespace: str = "") -> list[Object]:
        """All objects, or those of one namespace."""
        if not namespace:
            return list(self._objects.values())
        return [obj for (ns, _), obj in self._objects.items() if ns == namespace]

    def by_index(self, name: str, value: str) -> builtins.list[Object]:
        """The objects for which the index `name` gave `value`."""
        return list(self._indexes[name].get(value, {}).values())

    async def wait_synced(self) -> None:
        """Returns when the first list has been taken in."""
        await self._synced.wait()

    async def run(self) -> None:
        """Lists, then watches, until cancelled."""
        version = ""
        while True:
            try:
                if not version:
                    version = await self._relist()
                async for event in self._client.watch(
                    self.kind, self._namespace, resource_version=version, field_selector=self._field_selector
                ):
                    version = event.object["metadata"]["resourceVersion"]
                    if event.type == "DELETED":
                        self._replace(key_of(event.object), None)
                    elif event.type != "BOOKMARK":
                        self._replace(key_of(event.object), event.object)
            except Expired:
                version = ""
            except (ApiError, OSError) as error:
                log.warning("watch ended", extra={"kind": self.kind.name, "error": str(error)})
                await asyncio.sleep(RELIST_SECONDS)

    async def _relist(self) -> str:
        listed = await self._client.list(self.kind, self._namespace, field_selector=self._field_selector)
        self.load(listed.items)
        return listed.resource_version

    def load(self, objects: Iterable[Object]) -> None:
        """Takes in all the objects that there are; enough for one who only wants to look once."""
        present = {key_of(obj): obj for obj in objects}
        for key in [key for key in self._objects if key not in present]:
            self._replace(key, None)
        for key, obj in present.items():
            self._replace(key, obj)
        self._synced.set()

    def _replace(self, key: ObjectKey, new: Object | None) -> None:
        old = self._objects.get(key)
        if old is None and new is None:
            return
        if old is not None and new is not None:
            if old["metadata"]["resourceVersion"] == new["metadata"]["resourceVersion"]:
                return
            if old["metadata"]["uid"] != new["metadata"]["uid"]:
                self._replace(key, None)
                old = None
        for name in self._indexers:
            self._unindex_one(name, key, old)
        if new is None:
            del self._objects[key]
        else:
            self._objects[key] = new
            for name in self._indexers:
                self._index_one(name, key, new)
        for handler in tuple(self._handlers):
            try:
                handler(old, new)
            except Exception:  # the boundary: one component's mistake must not blind the others
                log.exception("handler failed", extra={"kind": self.kind.name, "key": "/".join(key)})

    def _index_one(self, name: str, key: ObjectKey, obj: Object) -> None:
        for value in self._indexers[name](obj):
            self._indexes[name].setdefault(value, {})[key] = obj

    def _unindex_one(self, name: str, key: ObjectKey, obj: Object | None) -> None:
        if obj is None:
            return
        index = self._indexes[name]
        for value in self._indexers[name](obj):
            found: dict[Any, Object] = index.get(value, {})
            found.pop(key, None)
            if not found:
                index.pop(value, None)


class Informers:
    """The informers that the components of one process share: one per kind and narrowing."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._informers: dict[tuple[Kind, str, str], Informer] = {}
        self._group: asyncio.TaskGroup | None = None

    def of(self, kind: Kind, namespace: str = "", *, field_selector: str = "") -> Informer:
        """The shared informer of `kind`; it starts running at once if the others already do."""
        key = (kind, namespace, field_selector)
        informer = self._informers.get(key)
        if informer is None:
            informer = self._informers[key] = Informer(self._client, kind, namespace, field_selector=field_selector)
            if self._group is not None:
                self._start(informer)
        return informer

    async def run(self) -> None:
        """Runs every informer, those asked for later too, until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for informer in list(self._informers.values()):
                self._start(informer)
            await asyncio.Event().wait()

    async def wait_synced(self) -> None:
        """Returns when every informer asked for so far has listed."""
        for informer in list(self._informers.values()):
            await informer.wait_synced()

    def _start(self, informer: Informer) -> None:
        assert self._group is not None
        self._group.create_task(informer.run(), name=f"informer-{informer.kind.plural}")
