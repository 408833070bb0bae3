"""Keeps one object of a fixed name in every namespace: shared by the two controllers that do just that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from controlplane.api.errors import AlreadyExists, Forbidden, NotFound
from controlplane.api.kinds import NAMESPACE
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.meta import is_deleting


class EnsuredInNamespaces:
    """Creates `wanted` in each active namespace, and writes it again when `is_right` says it is not."""

    def __init__(
        self, client: Client, informers: Informers, kind: Kind, wanted: Object, is_right: Callable[[Object], bool]
    ) -> None:
        self._client = client
        self._kind = kind
        self._wanted = wanted
        self._is_right = is_right
        self._name: str = wanted["metadata"]["name"]
        self._namespaces = informers.of(NAMESPACE)
        self._objects = informers.of(kind, field_selector=f"metadata.name={self._name}")
        self._reconciler: Reconciler[str] = Reconciler(f"{self._name}-{kind.singular}", self._reconcile)
        self._namespaces.add_handler(self._namespace_changed)
        self._objects.add_handler(self._object_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._namespaces.wait_synced()
        await self._objects.wait_synced()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reconciler.run(), name=self._reconciler.name)

    def _namespace_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None and new is not None:
            self._reconciler.queue.add(new["metadata"]["name"])

    def _object_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None:
            self._reconciler.queue.add(old["metadata"]["namespace"])

    async def _reconcile(self, name: str) -> None:
        namespace = self._namespaces.get(name)
        if namespace is None or is_deleting(namespace):
            return
        present = self._objects.get(self._name, name)
        try:
            if present is None:
                await self._client.create(self._kind, self._wanted, name)
            elif not self._is_right(present):
                await self._client.patch(self._kind, self._name, name, body=self._wanted, patch_type="merge")
        except AlreadyExists:
            # Made by another before the cache showed it.
            return
        except (Forbidden, NotFound):
            # The namespace has begun to go, or is gone.
            return
