"""What every write of an object passes on its way to the store: admission, the kind's rules, field ownership.

Not how a request becomes an object: that is the registry's. A write reads the latest staged state and
stages the new one without giving up the loop in between; only webhooks make it give up the loop, and if
the object has changed when they have answered, `until_settled` begins again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import orjson

from controlplane.api import meta, ownership
from controlplane.api.errors import BadRequest, FieldError, Invalid, StorageError
from controlplane.api.kinds import NAMESPACE
from controlplane.api.types import Kind, Object
from controlplane.server import applying, deletion, metadata, namespaces, versions, wording
from controlplane.server.admission import Attributes
from controlplane.server.admission.chain import Admission, Overtaken
from controlplane.server.requests import Operation, WriteOptions
from controlplane.store import Key, Revision, Store

GENERATE_TRIES = 8
OVERTAKEN_TRIES = 8
SPEC_PARTS = ("", "scale")
"""The object itself and the subresource that writes its spec; their updates raise the generation."""

Result = TypeVar("Result")
Wait = Callable[[Kind, str, Object, Store], Awaitable[None]]


class Writer:
    """Writes to `store` what `admission` lets through.

    `settlers` are called when the latest state of an object has changed: after a write is staged or has
    failed, and after a deletion is committed. `waits` are awaited before an object is made.
    """

    def __init__(
        self,
        store: Store,
        admission: Admission,
        *,
        settlers: Sequence[Callable[[Key, Store], None]] = (),
        waits: Sequence[Wait] = (),
    ) -> None:
        self.admission = admission
        self._store = store
        self._settlers = tuple(settlers)
        self._waits = tuple(waits)

    def add_settler(self, settle: Callable[[Key, Store], None]) -> None:
        """Calls `settle` too, from now on."""
        self._settlers = (*self._settlers, settle)

    async def create(
        self, kind: Kind, namespace: str, obj: Object, options: WriteOptions, *, applied: bool = False
    ) -> Revision:
        """Stores a new object; `applied` where its fields have their owners already."""
        if obj["metadata"].get("resourceVersion"):
            raise BadRequest("resourceVersion should not be set on objects to be created")
        namespace = metadata.settle_namespace(kind, obj, namespace)
        for wait in self._waits:
            await wait(kind, namespace, obj, self._store)
        base = metadata.settle_name(obj)
        kind.strategy.default(obj)
        if not applied:
            obj = applying.tracked_create(kind, obj, options)
        request = _request("CREATE", kind, obj, None, "", options)
        obj = await self.admission.change(request)
        metadata.settle_namespace(kind, obj, namespace)
        meta.prepare_create(obj)
        kind.strategy.prepare_create(obj)
        self.check(kind, obj, kind.strategy.validate(obj), options)
        await self.admission.judge(request.with_object(obj))
        key = self._free_key(kind, namespace, obj, base)
        return await self.write(key, obj, None, options)

    def _free_key(self, kind: Kind, namespace: str, obj: Object, base: str) -> Key:
        """Where the object goes; it gets another name of the same `base` where its name is taken."""
        for _ in range(GENERATE_TRIES):
            key = Key(kind.resource, namespace, obj["metadata"]["name"])
            if self._store.latest(key) is None:
                return key
            if not base:
                raise wording.already_exists(kind, key.name)
            obj["metadata"]["name"] = meta.generate_name(base)
        raise wording.already_exists(kind, obj["metadata"]["name"])

    async def update(
        self,
        kind: Kind,
        previous: Revision,
        old: Object,
        new: Object,
        subresource: str,
        options: WriteOptions,
        *,
        applied: bool = False,
    ) -> Revision:
        """Stores `new` in place of `old`, which is what `previous` says; writes nothing where nothing changes."""
        metadata.check_current(kind, new, old)
        if not applied:
            ownership.carry(new, old, subresource=subresource)
        meta.prepare_update(new, old)
        kind.strategy.default(new)
        request = _request("UPDATE", kind, new, old, subresource, options)
        new = await self.admission.change(request)
        _prepare_update(kind, new, old, subresource)
        unchanged = new == old
        if unchanged and not self.admission.hooks.active:
            return previous
        if not (unchanged or applied) and "managedFields" in new["metadata"]:
            new = applying.tracked_update(kind, old, new, subresource, options)
        self.check(kind, new, _wrong_update(kind, new, old, subresource), options)
        await self.admission.judge(request.with_object(new), previous)
        if unchanged:
            return previous
        done = deletion.finished(new) and (kind is not NAMESPACE or namespaces.finished(new))
        if done and not options.dry_run:
            return await self.remove(previous.key, new, previous)
        return await self.write(previous.key, new, previous, options)

    async def allow_delete(self, kind: Kind, obj: Object, previous: Revision, options: WriteOptions) -> None:
        """Raises the ApiError of who refuses that the object goes."""
        request = _request("DELETE", kind, obj, obj, "", options)
        await self.admission.change(request)
        await self.admission.judge(request, previous)

    def check(self, kind: Kind, obj: Object, errors: Sequence[FieldError], options: WriteOptions) -> None:
        """Invalid where there are errors; else the caller gets the kind's warnings."""
        if errors:
            raise Invalid.of(kind.group, kind.name, obj["metadata"].get("name", ""), errors)
        if options.warned:
            for text in kind.strategy.warnings(obj):
                options.warn(text)

    async def write(self, key: Key, obj: Object, previous: Revision | None, options: WriteOptions) -> Revision:
        """Commits the object as it is."""
        if options.dry_run:
            return Revision(key, self._store.revision, orjson.dumps(obj), obj)
        staged = self._store.write(key, obj, previous)
        self._settle(key)
        try:
            return await staged
        except StorageError:
            self._settle(key)
            raise

    async def remove(self, key: Key, obj: Object, previous: Revision) -> Revision:
        """Commits that the object is gone; `obj` is its last state."""
        revision = await self._store.delete(key, obj, previous)
        self._settle(key)
        return revision

    def _settle(self, key: Key) -> None:
        for settle in self._settlers:
            settle(key, self._store)

    async def until_settled(self, kind: Kind, attempt: Callable[[Any], Awaitable[Result]], body: Any) -> Result:
        """The result of `attempt`; made again with `body` as it was where another write has overtaken it, or
        where objects had to be converted for it.
        """
        if not self.admission.hooks.active and not versions.is_remote(kind):
            return await attempt(body)
        original = orjson.dumps(body)
        for _ in range(OVERTAKEN_TRIES):
            try:
                return await attempt(orjson.loads(original))
            except Overtaken:
                continue
            except versions.NotConverted as need:
                await need.convert()
        return await attempt(orjson.loads(original))


def _prepare_update(kind: Kind, new: Object, old: Object, subresource: str) -> None:
    """Puts back what a write of this part may not change."""
    if subresource == "status":
        kind.strategy.prepare_status_update(new, old)
    elif subresource in SPEC_PARTS:
        kind.strategy.prepare_update(new, old)
    elif subresource in kind.strategy.parts:
        kind.strategy.parts[subresource].prepare_update(new, old)


def _wrong_update(kind: Kind, new: Object, old: Object, subresource: str) -> Sequence[FieldError]:
    if subresource == "status":
        return [*meta.validate_update(new, old), *kind.strategy.validate_status_update(new, old)]
    if subresource in kind.strategy.parts:
        return kind.strategy.parts[subresource].validate_update(new, old)
    return kind.strategy.validate_update(new, old)


def _request(
    operation: Operation, kind: Kind, obj: Object, old: Object | None, subresource: str, options: WriteOptions
) -> Attributes:
    found = obj["metadata"]
    return Attributes(
        operation, kind, found.get("namespace", ""), found.get("name", ""), obj, old, subresource, options
    )
