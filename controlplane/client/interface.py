"""The one interface through which every component reaches the API.

Controllers, scheduler, node agents and proxies hold a `Client` and nothing of the store.
`controlplane.client.local` implements it in the daemon's process, `controlplane.client.https`
over the wire; both raise the errors of `controlplane.api.errors`. Objects that come back from
get, list, watch and from informers are shared: copy before you change one.
"""

from __future__ import annotations

import builtins
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from controlplane.api.types import Kind, Object

PatchType = Literal["json", "merge", "strategic", "apply"]
Propagation = Literal["Orphan", "Background", "Foreground"]
EventType = Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """One change; for DELETED, `object` is the last state, at the revision of its deletion."""

    type: EventType
    object: Object


@dataclass(frozen=True, slots=True)
class ObjectList:
    """A consistent snapshot: watch from `resource_version` to follow it without a gap."""

    items: list[Object]
    resource_version: str


class Client(Protocol):
    """The Kubernetes verbs. `namespace` is "" for cluster-scoped kinds and, in list and watch, for all namespaces."""

    async def kinds(self) -> builtins.list[Kind]:
        """The kinds of which objects are kept, by discovery, custom resources included; a resource comes
        once, however many versions it has."""
        ...

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        """The object; NotFound when there is none."""
        ...

    async def list(
        self, kind: Kind, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> ObjectList: ...

    def watch(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
    ) -> AsyncIterator[WatchEvent]:
        """Every change after `resource_version`, in order. Raises Expired when that is compacted."""
        ...

    async def create(
        self, kind: Kind, obj: Object, namespace: str = "", *, subresource: str = "", name: str = ""
    ) -> Object:
        """Creates `obj`, whose metadata.namespace defaults to `namespace`; with `subresource` and
        `name` it posts to e.g. pods/NAME/binding."""
        ...

    async def update(self, kind: Kind, obj: Object, *, subresource: str = "") -> Object:
        """Replaces the object named in `obj`; Conflict when its resourceVersion is no longer current."""
        ...

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
    ) -> Object: ...

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
        """Deletes, or marks for deletion where finalizers or a grace period hold the object; `uid`
        and `resource_version` are preconditions (Conflict)."""
        ...
