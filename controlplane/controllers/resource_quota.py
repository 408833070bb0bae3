"""Keeps the status of ResourceQuotas: what is allowed, and what is used of it.

Admission refuses what would be too much; this tells how much there is. What counts, and for how
much, is in `controlplane.api.quotas`. A kind is followed from the first quota that counts it on, so
that clusters without quotas pay nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from controlplane.api import quotas
from controlplane.api.errors import Conflict, NotFound
from controlplane.api.kinds import RESOURCE_QUOTA
from controlplane.api.pod_resources import Amounts
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informers, ObjectKey, key_of
from controlplane.client.interface import Client
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.metadata_feed import MetadataFeed

GATHER_SECONDS = 0.02
"""How long changes of what is counted are gathered before it is counted again."""


class ResourceQuotaController:
    """Reconciles ResourceQuotas."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._quotas = informers.of(RESOURCE_QUOTA)
        self._followed: set[Kind] = set()
        self._group: asyncio.TaskGroup | None = None
        self._reconciler: Reconciler[ObjectKey] = Reconciler("resource-quota", self._reconcile, workers=2)
        self._quotas.add_handler(self._quota_changed)

    async def run(self) -> None:
        """Works until cancelled."""
        await self._quotas.wait_synced()
        async with asyncio.TaskGroup() as self._group:
            self._group.create_task(self._reconciler.run(), name="resource-quota")

    def observe(self, kind: Kind, obj: Object) -> None:
        """Something that quotas of its namespace may count has changed."""
        self._recount(kind, obj["metadata"].get("namespace", ""))

    def gone(self, kind: Kind, uid: str) -> None:
        """Something that quotas may count has gone; nobody remembers where it was."""
        self._recount(kind, "")

    def _recount(self, kind: Kind, namespace: str) -> None:
        for quota in self._quotas.list(namespace):
            if quotas.counts(kind, quota["spec"].get("hard", {})):
                self._reconciler.queue.add_after(key_of(quota), GATHER_SECONDS)

    def _quota_changed(self, _: Object | None, new: Object | None) -> None:
        if new is not None:
            self._reconciler.queue.add(key_of(new))

    async def _reconcile(self, key: ObjectKey) -> None:
        quota = self._quotas.get(key[1], key[0])
        if quota is None:
            return
        hard = quota["spec"].get("hard", {})
        used: Amounts = dict.fromkeys(hard, 0)
        for kind in _counted(await self._client.kinds(), hard):
            self._follow(kind)
            for obj in (await self._client.list(kind, key[0])).items:
                for name, value in quotas.counted_by(quota, kind, obj).items():
                    used[name] += value
        status = {"hard": dict(hard), "used": {name: quotas.text(name, value) for name, value in used.items()}}
        if quota.get("status", {}) == status:
            return
        try:
            await self._client.update(RESOURCE_QUOTA, quota | {"status": status}, subresource="status")
        except (Conflict, NotFound):
            # Changed or gone: then the change brings the key back.
            return

    def _follow(self, kind: Kind) -> None:
        """Watches a kind from now on; quotas come and go, the watch stays."""
        if kind in self._followed or self._group is None:
            return
        self._followed.add(kind)
        self._group.create_task(MetadataFeed(self._client, kind, self).run(), name=f"quota-{kind.resource}")


def _counted(served: Iterable[Kind], hard: Mapping[str, str]) -> list[Kind]:
    """The kinds of those `served` that a quota with these names is about."""
    return [
        kind
        for kind in served
        if kind.storage is kind
        and kind.namespaced
        and {"list", "watch"} <= set(kind.verbs)
        and quotas.counts(kind, hard)
    ]
