"""Who owns whom: for every object its uid, place and owners, and nothing else of it.

Pure bookkeeping. An owner need not be known for its dependents to be: references may name what is
gone, or what has not been seen yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from controlplane.api.meta import FOREGROUND, ORPHAN
from controlplane.api.types import Kind, Object


@dataclass(frozen=True, slots=True)
class OwnerRef:
    """One owner reference; `blocks` says that the owner's foreground deletion waits for the dependent."""

    uid: str
    api_version: str
    kind: str
    name: str
    blocks: bool


@dataclass(slots=True)
class Node:
    """One object. `foreground` and `orphan` are finalizers that the collector takes off."""

    uid: str
    kind: Kind
    namespace: str
    name: str
    owners: tuple[OwnerRef, ...]
    deleting: bool
    foreground: bool
    orphan: bool

    @property
    def waits_for_dependents(self) -> bool:
        return self.deleting and self.foreground

    def blocks(self, owner: str) -> bool:
        """Whether the owner's foreground deletion waits for this object."""
        return any(reference.uid == owner and reference.blocks for reference in self.owners)


_NONE: tuple[OwnerRef, ...] = ()


def owners_of(obj: Object) -> tuple[OwnerRef, ...]:
    """The owner references of an object."""
    references = obj["metadata"].get("ownerReferences")
    if not references:
        return _NONE
    return tuple(
        OwnerRef(ref["uid"], ref["apiVersion"], ref["kind"], ref["name"], bool(ref.get("blockOwnerDeletion")))
        for ref in references
    )


class Graph:
    """Nodes by uid, and the uids of each owner's dependents."""

    def __init__(self) -> None:
        self.nodes: dict[str, Node] = {}
        self._dependents: dict[str, set[str]] = {}

    def observe(self, kind: Kind, obj: Object) -> tuple[Node, bool]:
        """Takes an object's present state in; returns its node, and whether that is news to a collector."""
        metadata = obj["metadata"]
        finalizers = metadata.get("finalizers") or ()
        node = Node(
            uid=metadata["uid"],
            kind=kind,
            namespace=metadata.get("namespace", ""),
            name=metadata["name"],
            owners=owners_of(obj),
            deleting="deletionTimestamp" in metadata,
            foreground=FOREGROUND in finalizers,
            orphan=ORPHAN in finalizers,
        )
        before = self.nodes.get(node.uid)
        if before == node:
            return before, False
        self.nodes[node.uid] = node
        self._link(node, before.owners if before is not None else _NONE)
        return node, True

    def remove(self, uid: str) -> Node | None:
        """Forgets an object; its dependents stay, and are now without it."""
        node = self.nodes.pop(uid, None)
        if node is not None:
            for reference in node.owners:
                self._unlink(reference.uid, uid)
        return node

    def dependents(self, uid: str) -> list[Node]:
        """The known objects that name `uid` as an owner."""
        return [self.nodes[dependent] for dependent in self._dependents.get(uid, ())]

    def _link(self, node: Node, before: tuple[OwnerRef, ...]) -> None:
        now = {reference.uid for reference in node.owners}
        for reference in before:
            if reference.uid not in now:
                self._unlink(reference.uid, node.uid)
        for owner in now:
            self._dependents.setdefault(owner, set()).add(node.uid)

    def _unlink(self, owner: str, dependent: str) -> None:
        dependents = self._dependents.get(owner)
        if dependents is not None:
            dependents.discard(dependent)
            if not dependents:
                del self._dependents[owner]
