"""ControllerRevisions: the templates that a DaemonSet or StatefulSet has had, for rollbacks.

A revision holds the template as a strategic merge patch that puts it back whole, which is what
`kubectl rollout undo` sends. The newest revision is the present template; going back to an old one
gives the old revision a new number and makes no new object.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from controlplane.api.errors import AlreadyExists, NotFound
from controlplane.api.kinds import CONTROLLER_REVISION
from controlplane.api.selectors import compile_selector
from controlplane.api.types import Kind, Object
from controlplane.client.informer import Informer, Informers, key_of
from controlplane.client.interface import Client
from controlplane.controllers.indexes import CONTROLLER, ORPHANS, index_owned
from controlplane.controllers.meta import controller_reference, controller_uid, with_status
from controlplane.controllers.ownership import claim
from controlplane.controllers.pacing import Freshness
from controlplane.controllers.rollout import LAST_APPLIED, template_hash

HASH_LABEL = "controller-revision-hash"
"""On pods: which revision they were made from. Part of a StatefulSet pod's is the revision's name."""


class History(NamedTuple):
    """The revision of the present template, and the others, oldest first."""

    current: Object
    old: list[Object]


class Revisions:
    """Keeps the revisions of owners of one `kind`; `label` carries the template's hash on a revision."""

    def __init__(self, client: Client, informers: Informers, kind: Kind, label: str) -> None:
        self._client = client
        self._kind = kind
        self._label = label
        self.informer: Informer = informers.of(CONTROLLER_REVISION)
        self._freshness = Freshness()
        index_owned(self.informer)
        self.informer.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None:
            self._freshness.gone(key_of(old))

    async def history(self, owner: Object) -> History:
        """The revisions of `owner`, the present template's made or renumbered where that is needed."""
        revisions = await self._claimed(owner)
        data = revision_data(owner)
        equal = [one for one in revisions if one.get("data") == data]
        old = sorted((one for one in revisions if one.get("data") != data), key=_age)
        number = max((one.get("revision", 0) for one in old), default=0) + 1
        if not equal:
            return History(await self._create(owner, data, number), old)
        current = max(equal, key=_age)
        if current.get("revision", 0) < number:
            current = await self._client.update(CONTROLLER_REVISION, {**current, "revision": number})
            self._freshness.wrote(current)
        return History(current, old)

    async def trim(self, owner: Object, old: Sequence[Object], live: Collection[str]) -> None:
        """Deletes the oldest revisions beyond the owner's limit; `live` are labels of those that pods still have."""
        idle = [one for one in old if one["metadata"]["name"] not in live and hash_of(one, self._label) not in live]
        surplus = len(old) - owner["spec"].get("revisionHistoryLimit", 10)
        for revision in idle[: max(0, surplus)]:
            metadata = revision["metadata"]
            try:
                await self._client.delete(
                    CONTROLLER_REVISION, metadata["name"], metadata["namespace"], uid=metadata["uid"]
                )
            except NotFound:
                continue

    async def _claimed(self, owner: Object) -> list[Object]:
        uid, namespace = owner["metadata"]["uid"], owner["metadata"]["namespace"]
        candidates = self.informer.by_index(CONTROLLER, uid) + self.informer.by_index(ORPHANS, namespace)
        # A revision that the cache does not show in its last form is asked for: its number decides the next one.
        current = [await self._latest(one) for one in candidates]
        matches = compile_selector(owner["spec"].get("selector"))
        return await claim(self._client, CONTROLLER_REVISION, owner, [one for one in current if one], matches)

    async def _latest(self, revision: Object) -> Object | None:
        if not self._freshness.is_stale(key_of(revision), revision):
            return revision
        namespace, name = key_of(revision)
        try:
            return await self._client.get(CONTROLLER_REVISION, name, namespace)
        except NotFound:
            return None

    async def _create(self, owner: Object, data: dict[str, Any], number: int) -> Object:
        metadata, template = owner["metadata"], owner["spec"]["template"]
        digest = template_hash(template, (owner.get("status") or {}).get("collisionCount") or 0)
        handed_down = metadata.get("annotations") or {}
        wanted: Object = {
            "apiVersion": CONTROLLER_REVISION.api_version,
            "kind": CONTROLLER_REVISION.name,
            "metadata": {
                "name": f"{metadata['name']}-{digest}",
                "namespace": metadata["namespace"],
                "labels": {**((template.get("metadata") or {}).get("labels") or {}), self._label: digest},
                "annotations": {name: value for name, value in handed_down.items() if name != LAST_APPLIED},
                "ownerReferences": [controller_reference(owner)],
            },
            "data": data,
            "revision": number,
        }
        try:
            created = await self._client.create(CONTROLLER_REVISION, wanted, metadata["namespace"])
        except AlreadyExists:
            created = await self._existing(owner, wanted)
        self._freshness.wrote(created)
        return created

    async def _existing(self, owner: Object, wanted: Object) -> Object:
        """The revision that bears the new one's name: ours, not in the cache yet, or a hash collision."""
        metadata = wanted["metadata"]
        existing = await self._client.get(CONTROLLER_REVISION, metadata["name"], metadata["namespace"])
        if controller_uid(existing) == owner["metadata"]["uid"] and existing.get("data") == wanted["data"]:
            return existing
        status = dict(owner.get("status") or {})
        status["collisionCount"] = (status.get("collisionCount") or 0) + 1
        await self._client.update(self._kind, with_status(owner, status), subresource="status")
        raise AlreadyExists(f'controller revision "{metadata["name"]}" exists with another template')


def revision_data(owner: Object) -> dict[str, Any]:
    """The patch that puts the present template of `owner` back."""
    return {"spec": {"template": {**owner["spec"]["template"], "$patch": "replace"}}}


def hash_of(revision: Object, label: str) -> str:
    """The hash of the revision's template."""
    found: str = (revision["metadata"].get("labels") or {}).get(label, "")
    return found


def _age(revision: Object) -> tuple[int, str, str]:
    metadata = revision["metadata"]
    return revision.get("revision", 0), metadata["creationTimestamp"], metadata["name"]
