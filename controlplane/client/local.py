"""The client of components in the daemon's own process: straight to the registry, no bytes on a wire.

It meets the same defaulting, validation, admission and conflicts as a caller over HTTPS. What is
saved is the encoding; the body is still copied, because the registry changes it.

A test builds a whole API in process, without sockets, like this:

    async with open_registry(tmp_path / "state.db") as registry:   # controlplane.server.assembly
        client = LocalClient(registry)
        await client.create(POD, {"metadata": {"name": "web"}, "spec": {...}}, "default")
        informers = Informers(client)

The namespaces default, kube-system, kube-public and kube-node-lease are there from the start; no
controller runs unless the test runs it.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import orjson

from controlplane.api.types import Kind, Object
from controlplane.client.interface import ObjectList, PatchType, Propagation, WatchEvent
from controlplane.server.postings import post
from controlplane.server.registry import Registry
from controlplane.server.requests import INTERNAL, DeleteOptions, ListOptions, User, WriteOptions


class LocalClient:
    """The `Client` interface over a `Registry` in the same process and on the same loop.

    `agent` is the program whose name stands at the fields that are written through it.
    """

    def __init__(self, registry: Registry, user: User = INTERNAL, *, agent: str = "") -> None:
        self._registry = registry
        self._options = WriteOptions(user=user, agent=agent)

    async def kinds(self) -> builtins.list[Kind]:
        return self._registry.scheme.stored()

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        await self._registry.prepare(kind, namespace, name)
        return self._registry.get(kind, name, namespace).document

    async def list(
        self, kind: Kind, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList:
        options = ListOptions(label_selector=label_selector, field_selector=field_selector)
        await self._registry.prepare(kind, namespace)
        page = self._registry.list(kind, namespace, options)
        return ObjectList([revision.document for revision in page.revisions], str(page.resource_version))

    async def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        watch = self._registry.watch(
            kind,
            namespace,
            after=int(resource_version or self._registry.store.revision),
            label_selector=label_selector,
            field_selector=field_selector,
        )
        try:
            while not watch.closed or watch.pending:
                for event in await watch.take():
                    yield WatchEvent(event.type, event.revision.document)
        finally:
            watch.close()

    async def create(
        self, kind: Kind, obj: Object, namespace: str = "", *, subresource: str = "", name: str = ""
    ) -> Object:
        if subresource:
            return await post(self._registry, kind, name, namespace, subresource, _copy(obj), self._options)
        return (await self._registry.create(self._served(kind), namespace, _copy(obj), self._options)).document

    async def update(self, kind: Kind, obj: Object, *, subresource: str = "") -> Object:
        metadata = obj["metadata"]
        namespace = metadata.get("namespace", "")
        revision = await self._registry.update(
            self._served(kind), metadata["name"], namespace, _copy(obj), self._options, subresource=subresource
        )
        return revision.document

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        body: Any,
        patch_type: PatchType = "merge",
        subresource: str = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        options = self._options
        if field_manager or force:
            options = replace(options, field_manager=field_manager, force=force)
        revision = await self._registry.patch(
            self._served(kind), name, namespace, _copy(body), patch_type, options, subresource=subresource
        )
        return revision.document

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        propagation_policy: Propagation | None = None,
        grace_period_seconds: int | None = None,
        uid: str | None = None,
        resource_version: str | None = None,
    ) -> Object:
        options = DeleteOptions(
            user=self._options.user,
            grace_period_seconds=grace_period_seconds,
            propagation_policy=propagation_policy,
            uid=uid,
            resource_version=resource_version,
        )
        return (await self._registry.delete(kind, name, namespace, options)).revision.document

    def _served(self, kind: Kind) -> Kind:
        """`kind` as it is served now: a custom resource's schema may have changed since a caller learnt of it."""
        if kind.schema is None:
            return kind
        return self._registry.scheme.resource(kind.group, kind.version, kind.plural) or kind


def _copy(body: Any) -> Any:
    """A deep copy; the fastest there is, and it refuses what is not JSON."""
    return orjson.loads(orjson.dumps(body))
