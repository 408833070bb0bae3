"""The REST semantics of every kind, without any transport.

The HTTP handlers and the in-process client both call this, so a controller in the daemon meets the
same defaults, checks, conflicts and deletions as kubectl does. Bodies passed in belong to the
registry from then on; what comes out is shared with the store and must not be changed.

A write reads the latest staged state, computes the new one and stages it without giving up the
loop in between: two patches of one object never conflict with each other. Only webhooks make it give
up the loop; if the object has changed when they have answered, the write begins again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import orjson

from controlplane.api import decode as decoding
from controlplane.api import meta, ownership
from controlplane.api.errors import BadRequest, Conflict, FieldError, Invalid, NotFound, StorageError
from controlplane.api.kinds import NAMESPACE
from controlplane.api.patch import ChangeType, PatchType, apply_patch
from controlplane.api.scheme import SCHEME, Scheme
from controlplane.api.types import Kind, Object
from controlplane.server import applying, deletion, metadata, namespaces, paging, versions, wording
from controlplane.server.admission import Attributes, Hooks, NoHooks, Plugin
from controlplane.server.authorization import Authorizer, MastersOnly
from controlplane.server.computed import ComputedKinds
from controlplane.server.requests import DeleteOptions, ListOptions, Operation, WriteOptions
from controlplane.server.selection import selection_of
from controlplane.server.tokens import TokenIssuer
from controlplane.server.views import View, view_of
from controlplane.server.watching import Watch
from controlplane.store import Key, Revision, Store

GENERATE_TRIES = 8
OVERTAKEN_TRIES = 8
Result = TypeVar("Result")
Wait = Callable[[Kind, str, Object, Store], Awaitable[None]]
SPEC_PARTS = ("", "scale")
"""The object itself and the subresource that writes its spec; their updates raise the generation."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a delete left: the object's last state, and whether it is gone or only marked."""

    revision: Revision
    gone: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What a server-side apply left, and whether it made the object."""

    revision: Revision
    created: bool


class Overtaken(Conflict):
    """While webhooks were asked about a write, another write changed the object."""


class Registry:
    """Objects of every kind of `scheme`, kept in `store`.

    `plugins` admit requests, in order. `settlers` are called when the latest state of an object has
    changed: after a write is staged or has failed, and after a deletion is committed. `waits` are
    awaited before an object is made. `authorizer` is for those who carry requests here: the registry
    itself asks nobody.
    """

    def __init__(
        self,
        store: Store,
        *,
        scheme: Scheme = SCHEME,
        plugins: Sequence[Plugin] = (),
        settlers: Sequence[Callable[[Key, Store], None]] = (),
        waits: Sequence[Wait] = (),
        tokens: TokenIssuer | None = None,
        authorizer: Authorizer | None = None,
    ) -> None:
        self.store = store
        self.scheme = scheme
        self.tokens = tokens or TokenIssuer()
        self.authorizer = authorizer or MastersOnly()
        self._plugins = tuple(plugins)
        self._settlers = tuple(settlers)
        self._waits = tuple(waits)
        self.hooks: Hooks = NoHooks()
        self.computed = ComputedKinds(store)

    def add_settler(self, settle: Callable[[Key, Store], None]) -> None:
        """Calls `settle` too, from now on."""
        self._settlers = (*self._settlers, settle)

    def get(self, kind: Kind, name: str, namespace: str = "", *, subresource: str = "") -> Revision:
        """The committed object, or its part that a subresource shows; NotFound when there is none."""
        if kind in self.computed:
            revision = self.computed.get(kind, name, namespace)
        else:
            revision = self.store.get(Key(kind.storage.resource, namespace, name))
        if revision is None:
            raise wording.not_found(kind, name)
        revision = versions.shown(kind, revision)
        return _shown(view_of(kind, subresource), revision) if subresource else revision

    def list(self, kind: Kind, namespace: str = "", options: ListOptions | None = None) -> paging.Page:
        """A consistent snapshot, or one page of it; Expired when the page's snapshot is forgotten."""
        options = options or ListOptions()
        selection = selection_of(kind, options.label_selector, options.field_selector)
        if kind in self.computed:
            return self.computed.list(kind, namespace, selection)
        page = paging.page(self.store, kind.storage.resource, namespace, selection, options)
        if kind.conversion is None:
            return page
        return replace(page, revisions=[versions.shown(kind, one) for one in page.revisions])

    def watch(
        self, kind: Kind, namespace: str = "", *, after: int, label_selector: str = "", field_selector: str = ""
    ) -> Watch:
        """The changes after revision `after`; Expired when those are forgotten."""
        selection = selection_of(kind, label_selector, field_selector)
        return Watch(self.store.watch(kind.storage.resource, namespace, after=after), selection, kind)

    async def create(self, kind: Kind, namespace: str, body: Object, options: WriteOptions) -> Revision:
        """Stores a new object; AlreadyExists when there is one of its name."""
        if not versions.is_remote(kind):
            return await self._create_shown(kind, namespace, body, options)
        return await self._until_settled(kind, lambda body: self._create_shown(kind, namespace, body, options), body)

    async def _create_shown(self, kind: Kind, namespace: str, body: Object, options: WriteOptions) -> Revision:
        obj = self._to_stored(kind, namespace, self._decode(kind, body, options), options)
        return await versions.shown_now(kind, await self._create(kind.storage, namespace, obj, options))

    async def _create(
        self, kind: Kind, namespace: str, obj: Object, options: WriteOptions, *, applied: bool = False
    ) -> Revision:
        if obj["metadata"].get("resourceVersion"):
            raise BadRequest("resourceVersion should not be set on objects to be created")
        namespace = metadata.settle_namespace(kind, obj, namespace)
        for wait in self._waits:
            await wait(kind, namespace, obj, self.store)
        base = metadata.settle_name(obj)
        kind.strategy.default(obj)
        if not applied:
            obj = applying.tracked_create(kind, obj, options)
        self._admit("CREATE", kind, obj, None, "", options)
        if self.hooks.active:
            obj = await self._mutated("CREATE", kind, obj, None, "", options)
        meta.prepare_create(obj)
        kind.strategy.prepare_create(obj)
        self._check(kind, obj, kind.strategy.validate(obj), options)
        if self.hooks.active:
            await self._judged("CREATE", kind, obj, None, "", options)
        for _ in range(GENERATE_TRIES):
            key = Key(kind.resource, namespace, obj["metadata"]["name"])
            if self.store.latest(key) is None:
                break
            if not base:
                raise wording.already_exists(kind, key.name)
            obj["metadata"]["name"] = meta.generate_name(base)
        else:
            raise wording.already_exists(kind, obj["metadata"]["name"])
        return await self._write(key, obj, None, options)

    async def update(
        self, kind: Kind, name: str, namespace: str, body: Object, options: WriteOptions, *, subresource: str = ""
    ) -> Revision:
        """Replaces the object, or its part; Conflict when `body` names a resourceVersion that is not current."""
        return await self._until_settled(
            kind, lambda body: self._update(kind, name, namespace, body, options, subresource), body
        )

    async def _update(
        self, kind: Kind, name: str, namespace: str, body: Object, options: WriteOptions, subresource: str
    ) -> Revision:
        view = view_of(kind, subresource)
        part = self._decode(view.body(kind), body, options)
        metadata.match(kind, part, name, namespace)
        _check_part(kind, view.body(kind), name, part)
        previous = self._latest(kind, name, namespace)
        return await self._replace(kind, previous, part, view, subresource, options)

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        body: Any,
        patch_type: PatchType,
        options: WriteOptions,
        *,
        subresource: str = "",
    ) -> Revision:
        """Changes the object, or its part, as `body` says; Conflict only when the patch names a resourceVersion.

        An "apply" may also conflict with other owners of fields, and makes the object if there is none.
        """
        if patch_type == "apply":
            return (await self.apply(kind, name, namespace, body, options, subresource=subresource)).revision
        change: ChangeType = patch_type
        return await self._until_settled(
            kind, lambda body: self._patch(kind, name, namespace, body, change, options, subresource), body
        )

    async def _patch(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        body: Any,
        patch_type: ChangeType,
        options: WriteOptions,
        subresource: str,
    ) -> Revision:
        view = view_of(kind, subresource)
        previous = self._latest(kind, name, namespace)
        before = view.show(versions.shown_object(kind, previous.decode()))
        part = apply_patch(view.body(kind), before, body, patch_type)
        part = self._decode(view.body(kind), part, options)
        metadata.match(kind, part, name, namespace)
        _check_part(kind, view.body(kind), name, part)
        return await self._replace(kind, previous, part, view, subresource, options)

    async def apply(
        self, kind: Kind, name: str, namespace: str, config: Any, options: WriteOptions, *, subresource: str = ""
    ) -> Applied:
        """Makes what `config` declares so, the fields that its manager no longer declares gone.

        Conflict where fields of other managers would change, unless the options have `force`.
        """
        return await self._until_settled(
            kind, lambda config: self._apply(kind, name, namespace, config, options, subresource), config
        )

    async def _apply(
        self, kind: Kind, name: str, namespace: str, config: Any, options: WriteOptions, subresource: str
    ) -> Applied:
        view = view_of(kind, subresource)
        part = applying.declared(kind, view.body(kind), config)
        metadata.match(kind, part, name, namespace)
        _check_part(kind, view.body(kind), name, part)
        config = versions.stored(kind, applying.configuration(kind, view.body(kind), part))
        asked, kind = kind, kind.storage
        previous = self.store.latest(Key(kind.resource, namespace, name))
        if previous is None:
            if subresource:
                raise wording.not_found(asked, name)
            made = applying.merged(kind, None, config, options)
            created = await self._create(kind, namespace, made, options, applied=True)
            return Applied(await versions.shown_now(asked, created), created=True)
        # The result shares parts with the object that it was made from, and is changed later.
        new = applying.merged(kind, versions.shown_object(kind, previous.decode()), config, options, subresource)
        new = decoding.decode_object(kind, new).object
        old = versions.shown_object(kind, previous.decode())
        stored = await self._store_update(kind, previous, old, new, subresource, options, applied=True)
        stored = await versions.shown_now(asked, stored)
        return Applied(_shown(view, stored) if subresource else stored, created=False)

    async def consult(
        self,
        operation: Operation,
        kind: Kind,
        name: str,
        namespace: str,
        obj: Object,
        subresource: str,
        options: WriteOptions,
    ) -> None:
        """Asks webhooks about `obj`, which is not to be stored: a binding, an eviction, a connection's options."""
        obj.setdefault("metadata", {})
        request = Attributes(operation, kind, namespace, name, obj, None, subresource, options)
        await self.hooks.mutate(request)
        await self.hooks.validate(request)

    async def modify(
        self, kind: Kind, name: str, namespace: str, change: Callable[[Object], None], options: WriteOptions
    ) -> Revision:
        """Changes an object in place for the server's own purposes, such as binding; `change` may raise to refuse."""
        previous = self._latest(kind, name, namespace)
        obj = previous.decode()
        change(obj)
        return await self._write(previous.key, obj, previous, options)

    async def delete(self, kind: Kind, name: str, namespace: str, options: DeleteOptions) -> Deleted:
        """Removes the object, or marks it where a grace period or finalizers hold it."""
        return await self._until_settled(kind, lambda _: self._delete(kind, name, namespace, options), None)

    async def _delete(self, kind: Kind, name: str, namespace: str, options: DeleteOptions) -> Deleted:
        previous = self._latest(kind, name, namespace)
        asked, kind = kind, kind.storage
        obj = previous.decode()
        write = WriteOptions(user=options.user, dry_run=options.dry_run)
        self._admit("DELETE", kind, obj, obj, "", write)
        if self.hooks.active:
            await self._mutated("DELETE", kind, obj, obj, "", write)
            await self._judged("DELETE", kind, obj, obj, "", write, previous)
        deletion.check_preconditions(kind, obj, options)
        held = namespaces.hold(obj) if kind is NAMESPACE else False
        gone = deletion.mark_deleted(kind, obj, options) if not held else False
        if not gone and obj == previous.document:
            return Deleted(await versions.shown_now(asked, previous), gone=False)
        if not gone:
            written = await self._write(previous.key, obj, previous, write)
            return Deleted(await versions.shown_now(asked, written), gone=False)
        if options.dry_run:
            return Deleted(await versions.shown_now(asked, previous), gone=True)
        removed = await self._remove(previous.key, obj, previous)
        return Deleted(await versions.shown_now(asked, removed), gone=True)

    async def delete_collection(
        self, kind: Kind, namespace: str, selected: ListOptions, options: DeleteOptions
    ) -> paging.Page:
        """Deletes every selected object; those that another caller deletes meanwhile do not matter."""
        page = self.list(kind, namespace, selected)
        for revision in page.revisions:
            try:
                await self.delete(kind, revision.key.name, revision.key.namespace, options)
            except NotFound:
                continue
        return page

    def _decode(self, kind: Kind, body: Any, options: WriteOptions) -> Object:
        obj, warnings = decoding.decode_object(kind, body, options.field_validation, duplicates=options.duplicates)
        for text in warnings:
            options.warn(text)
        obj.setdefault("metadata", {})
        return obj

    def _to_stored(self, kind: Kind, namespace: str, obj: Object, options: WriteOptions) -> Object:
        """What is kept of a new object of `kind`, with the defaults and after the checks of its own version."""
        if kind.storage is kind:
            return obj
        metadata.settle_namespace(kind, obj, namespace)
        metadata.settle_name(obj)
        kind.strategy.default(obj)
        self._check(kind, obj, kind.strategy.validate(obj), options)
        return versions.stored(kind, obj)

    def _latest(self, kind: Kind, name: str, namespace: str) -> Revision:
        revision = self.store.latest(Key(kind.storage.resource, namespace, name))
        if revision is None:
            raise wording.not_found(kind, name)
        return revision

    async def prepare(self, kind: Kind, namespace: str = "", name: str = "") -> None:
        """Makes sure that what is stored can be read as objects of `kind`; InternalError when it cannot."""
        if not versions.is_remote(kind):
            return
        if name:
            found = self.store.get(Key(kind.storage.resource, namespace, name))
            await versions.prepare(kind, [found] if found is not None else [])
        else:
            await versions.prepare(kind, self.store.objects(kind.storage.resource, namespace))

    async def _until_settled(self, kind: Kind, attempt: Callable[[Any], Awaitable[Result]], body: Any) -> Result:
        """The result of `attempt`; made again with `body` as it was where another write has overtaken it, or
        where objects had to be converted for it.
        """
        if not self.hooks.active and not versions.is_remote(kind):
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

    async def _mutated(
        self,
        operation: Operation,
        kind: Kind,
        obj: Object,
        old: Object | None,
        subresource: str,
        options: WriteOptions,
    ) -> Object:
        """`obj` as webhooks have changed it, and as this server's own plugins then see it."""
        changed = await self.hooks.mutate(_request(operation, kind, obj, old, subresource, options))
        if changed is not obj:
            self._admit(operation, kind, changed, old, subresource, options)
        return changed

    async def _judged(
        self,
        operation: Operation,
        kind: Kind,
        obj: Object,
        old: Object | None,
        subresource: str,
        options: WriteOptions,
        previous: Revision | None = None,
    ) -> None:
        """Asks the webhooks that judge; what they say holds only if nothing else has changed meanwhile."""
        await self.hooks.validate(_request(operation, kind, obj, old, subresource, options))
        if previous is not None and self.store.latest(previous.key) is not previous:
            error = wording.conflict(kind, previous.key.name)
            raise Overtaken(error.message, details=error.details)
        self._admit(operation, kind, obj, old, subresource, options)

    def _admit(
        self,
        operation: Operation,
        kind: Kind,
        obj: Object,
        old: Object | None,
        subresource: str,
        options: WriteOptions,
    ) -> None:
        request = _request(operation, kind, obj, old, subresource, options)
        for plugin in self._plugins:
            plugin.admit(request, self.store)

    async def _replace(
        self,
        kind: Kind,
        previous: Revision,
        part: Object,
        view: View,
        subresource: str,
        options: WriteOptions,
    ) -> Revision:
        if kind.storage is not kind and view.body(kind) is kind:
            kind.strategy.default(part)
            part = versions.stored(kind, part)
        old = versions.shown_object(kind.storage, previous.decode())
        new = view.merge(old, part)
        stored = await self._store_update(kind.storage, previous, old, new, subresource, options)
        stored = await versions.shown_now(kind, stored)
        return _shown(view, stored) if subresource else stored

    async def _store_update(
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
        metadata.check_current(kind, new, old)
        if not applied:
            ownership.carry(new, old, subresource=subresource)
        meta.prepare_update(new, old)
        kind.strategy.default(new)
        self._admit("UPDATE", kind, new, old, subresource, options)
        if self.hooks.active:
            new = await self._mutated("UPDATE", kind, new, old, subresource, options)
        if subresource == "status":
            kind.strategy.prepare_status_update(new, old)
        elif subresource in SPEC_PARTS:
            kind.strategy.prepare_update(new, old)
        elif subresource in kind.strategy.parts:
            kind.strategy.parts[subresource].prepare_update(new, old)
        unchanged = new == old
        if unchanged and not self.hooks.active:
            return previous
        if not (unchanged or applied) and "managedFields" in new["metadata"]:
            new = applying.tracked_update(kind, old, new, subresource, options)
        if subresource == "status":
            errors = [*meta.validate_update(new, old), *kind.strategy.validate_status_update(new, old)]
        elif subresource in kind.strategy.parts:
            errors = kind.strategy.parts[subresource].validate_update(new, old)
        else:
            errors = kind.strategy.validate_update(new, old)
        self._check(kind, new, errors, options)
        if self.hooks.active:
            await self._judged("UPDATE", kind, new, old, subresource, options, previous)
            if unchanged:
                return previous
        done = deletion.finished(new) and (kind is not NAMESPACE or namespaces.finished(new))
        if done and not options.dry_run:
            return await self._remove(previous.key, new, previous)
        return await self._write(previous.key, new, previous, options)

    def _check(self, kind: Kind, obj: Object, errors: Sequence[FieldError], options: WriteOptions) -> None:
        if errors:
            raise Invalid.of(kind.group, kind.name, obj["metadata"].get("name", ""), errors)
        if options.warned:
            for text in kind.strategy.warnings(obj):
                options.warn(text)

    async def _write(self, key: Key, obj: Object, previous: Revision | None, options: WriteOptions) -> Revision:
        if options.dry_run:
            return Revision(key, self.store.revision, orjson.dumps(obj), obj)
        staged = self.store.write(key, obj, previous)
        self._settle(key)
        try:
            return await staged
        except StorageError:
            self._settle(key)
            raise

    async def _remove(self, key: Key, obj: Object, previous: Revision) -> Revision:
        revision = await self.store.delete(key, obj, previous)
        self._settle(key)
        return revision

    def _settle(self, key: Key) -> None:
        for settle in self._settlers:
            settle(key, self.store)


def _request(
    operation: Operation, kind: Kind, obj: Object, old: Object | None, subresource: str, options: WriteOptions
) -> Attributes:
    found = obj["metadata"]
    return Attributes(
        operation, kind, found.get("namespace", ""), found.get("name", ""), obj, old, subresource, options
    )


def _check_part(kind: Kind, body: Kind, name: str, part: Object) -> None:
    """Invalid when a body of another kind, such as a Scale, is wrong in itself."""
    if body is not kind and (errors := body.strategy.validate(part)):
        raise Invalid.of(body.group, body.name, name, errors)


def _shown(view: View, revision: Revision) -> Revision:
    document = view.show(revision.document)
    if document is revision.document:
        return revision
    return Revision(revision.key, revision.number, orjson.dumps(document), document)
