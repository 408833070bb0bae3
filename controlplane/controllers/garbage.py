"""Deletes what nobody owns any more, and carries out foreground and orphaning deletion.

    every kind (metadata only) → graph of owners → per object: delete, wait, or take a reference off

Nothing is deleted on the graph's word alone: the object, and an owner that the graph does not
know, are asked for from the API first, and the delete names uid and version.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import Any

from controlplane.api.errors import NotFound
from controlplane.api.kinds import CUSTOM_RESOURCE_DEFINITION, EVENT, NODE, POD, REPLICA_SET
from controlplane.api.meta import FOREGROUND, ORPHAN
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informer, Informers
from controlplane.client.interface import Client, Propagation
from controlplane.client.workqueue import Reconciler
from controlplane.controllers.metadata_feed import MetadataFeed
from controlplane.controllers.ownership_graph import Graph, Node, OwnerRef, owners_of

log = logging.getLogger(__name__)

WORKERS = 20
REMEMBERED_ABSENT = 512
COLLECTED_VERBS = {"list", "watch", "delete"}

CACHED: tuple[Kind, ...] = (POD, REPLICA_SET, NODE)
"""Busy kinds that other controllers keep an informer of anyway."""


class GarbageCollector:
    """Reconciles objects, by their uid."""

    def __init__(self, client: Client, informers: Informers) -> None:
        self._client = client
        self._graph = Graph()
        self._absent: OrderedDict[str, None] = OrderedDict()
        self._cached = [informers.of(kind) for kind in CACHED]
        self._feeds: dict[tuple[str, str], MetadataFeed] = {}
        self._kinds: dict[tuple[str, str], Kind] = {}
        self._definitions = informers.of(CUSTOM_RESOURCE_DEFINITION)
        self._others = asyncio.Event()
        self._definitions.add_handler(lambda _old, _new: self._others.set())
        self._reconciler: Reconciler[str] = Reconciler("garbage", self._reconcile, workers=WORKERS)
        for informer in self._cached:
            self._follow(informer)

    async def run(self) -> None:
        """Works until cancelled; collects nothing before it has seen every kind."""
        async with asyncio.TaskGroup() as group:
            await self._definitions.wait_synced()
            await self._discover(group)
            for informer in self._cached:
                await informer.wait_synced()
            for feed in list(self._feeds.values()):
                await feed.synced.wait()
            group.create_task(self._reconciler.run(), name="garbage")
            while True:
                await self._others.wait()
                await self._discover(group)

    async def _discover(self, group: asyncio.TaskGroup) -> None:
        """Follows every kind that can own or be owned, custom resources as they come and go.

        Events, which come and go in crowds, are left out as upstream does.
        """
        self._others.clear()
        self._kinds = {(kind.group, kind.name): kind for kind in await self._client.kinds()}
        left_out = {*(kind.resource for kind in CACHED), EVENT.resource}
        wanted = {
            (kind.version, kind.resource): kind
            for kind in self._kinds.values()
            if set(kind.verbs) >= COLLECTED_VERBS and kind.resource not in left_out
        }
        for key in self._feeds.keys() - wanted.keys():
            self._feeds.pop(key).stop()
        for key in wanted.keys() - self._feeds.keys():
            feed = self._feeds[key] = MetadataFeed(self._client, wanted[key], self)
            group.create_task(feed.run(), name=f"garbage-{feed.kind.plural}")

    def observe(self, kind: Kind, obj: Object) -> None:
        """Takes in one object's present state."""
        node, is_news = self._graph.observe(kind, obj)
        if is_news and (node.owners or (node.deleting and (node.foreground or node.orphan))):
            self._reconciler.queue.add(node.uid)

    def gone(self, kind: Kind, uid: str) -> None:
        """Takes in the end of an object: its dependents may go, its owners need not wait for it."""
        node = self._graph.remove(uid)
        for dependent in self._graph.dependents(uid):
            self._reconciler.queue.add(dependent.uid)
        for owner in node.owners if node is not None else ():
            waiting = self._graph.nodes.get(owner.uid)
            if waiting is not None and waiting.waits_for_dependents:
                self._reconciler.queue.add(owner.uid)

    def _follow(self, informer: Informer) -> None:
        kind = informer.kind

        def changed(old: Object | None, new: Object | None) -> None:
            if new is not None:
                self.observe(kind, new)
            elif old is not None:
                self.gone(kind, old["metadata"]["uid"])

        informer.add_handler(changed)

    async def _reconcile(self, uid: str) -> None:
        node = self._graph.nodes.get(uid)
        if node is None:
            return
        if node.deleting:
            if node.foreground:
                await self._delete_dependents_first(node)
            elif node.orphan:
                await self._orphan_dependents(node)
        elif node.owners:
            await self._collect(node)

    async def _collect(self, node: Node) -> None:
        live = await self._get(node.kind, node.name, node.namespace)
        if live is None or live["metadata"]["uid"] != node.uid or "deletionTimestamp" in live["metadata"]:
            return
        solid: list[OwnerRef] = []
        waiting: list[OwnerRef] = []
        dangling: list[OwnerRef] = []
        for owner in owners_of(live):
            known = self._graph.nodes.get(owner.uid)
            if known is not None:
                (waiting if known.waits_for_dependents else solid).append(owner)
            elif await self._is_absent(owner, node):
                dangling.append(owner)
            else:
                solid.append(owner)
        if solid:
            if dangling or waiting:
                await self._drop_owners(node, live, {owner.uid for owner in [*dangling, *waiting]})
        elif waiting or dangling:
            has_dependents = bool(self._graph.dependents(node.uid))
            await self._delete(node, live, foreground=bool(waiting) and has_dependents)

    async def _delete_dependents_first(self, node: Node) -> None:
        dependents = self._graph.dependents(node.uid)
        if not any(dependent.blocks(node.uid) for dependent in dependents):
            await self._drop_finalizer(node, FOREGROUND)
        for dependent in dependents:
            if not dependent.deleting:
                self._reconciler.queue.add(dependent.uid)

    async def _orphan_dependents(self, node: Node) -> None:
        for dependent in self._graph.dependents(node.uid):
            live = await self._get(dependent.kind, dependent.name, dependent.namespace)
            if live is not None and live["metadata"]["uid"] == dependent.uid:
                await self._drop_owners(dependent, live, {node.uid})
        await self._drop_finalizer(node, ORPHAN)

    async def _is_absent(self, owner: OwnerRef, node: Node) -> bool:
        """Asks the API whether an owner that the graph does not know is really not there."""
        if owner.uid in self._absent:
            return True
        kind = self._kinds.get((owner.api_version.rpartition("/")[0], owner.kind))
        if kind is None or (kind.namespaced and not node.namespace):
            # Of a kind that nobody serves, or in no namespace: nothing can be said, so nothing is deleted.
            log.debug("owner cannot be resolved", extra={"kind": owner.kind, "owner": owner.name})
            return False
        live = await self._get(kind, owner.name, node.namespace if kind.namespaced else "")
        if live is not None and live["metadata"]["uid"] == owner.uid:
            return False
        self._absent[owner.uid] = None
        while len(self._absent) > REMEMBERED_ABSENT:
            self._absent.popitem(last=False)
        return True

    async def _get(self, kind: Kind, name: str, namespace: str) -> Object | None:
        try:
            return await self._client.get(kind, name, namespace)
        except NotFound:
            return None

    async def _delete(self, node: Node, live: Object, *, foreground: bool) -> None:
        """Deletes what has no owner left; where its own dependents are waited for, in the foreground."""
        finalizers = live["metadata"].get("finalizers") or ()
        policy: Propagation = "Foreground" if foreground or FOREGROUND in finalizers else "Background"
        try:
            await self._client.delete(
                node.kind,
                node.name,
                node.namespace,
                propagation_policy="Orphan" if ORPHAN in finalizers else policy,
                uid=node.uid,
                resource_version=live["metadata"]["resourceVersion"],
            )
        except NotFound:
            return

    async def _drop_owners(self, node: Node, live: Object, uids: set[str]) -> None:
        references = [ref for ref in live["metadata"].get("ownerReferences") or () if ref["uid"] not in uids]
        await self._patch(node, live, {"ownerReferences": references or None})

    async def _drop_finalizer(self, node: Node, finalizer: str) -> None:
        live = await self._get(node.kind, node.name, node.namespace)
        if live is None or live["metadata"]["uid"] != node.uid:
            return
        finalizers = [one for one in live["metadata"].get("finalizers") or () if one != finalizer]
        await self._patch(node, live, {"finalizers": finalizers or None})

    async def _patch(self, node: Node, live: Object, changes: dict[str, Any]) -> None:
        """Changes metadata of just this version of the object; a Conflict is retried by the queue."""
        body = {"metadata": {"uid": node.uid, "resourceVersion": live["metadata"]["resourceVersion"], **changes}}
        try:
            await self._client.patch(node.kind, node.name, node.namespace, body=body, patch_type="merge")
        except NotFound:
            return
