"""The REST semantics of every kind, without any transport.

The HTTP handlers and the in-process client both call this, so a controller in the daemon meets the
same defaults, checks, conflicts and deletions as kubectl does. Bodies passed in belong to the
registry from then on; what comes out is shared with the store and must not be changed.

Here a request becomes the new state of an object; `writing.Writer` takes that to the store. Both in one
step of the loop: two patches of one object never conflict with each other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import orjson

from controlplane.api import decode as decoding
from controlplane.api.errors import Invalid, NotFound
from controlplane.api.kinds import NAMESPACE
from controlplane.api.patch import ChangeType, PatchType, apply_patch
from controlplane.api.scheme import SCHEME, Scheme
from controlplane.api.types import Kind, Object
from controlplane.server import applying, deletion, metadata, namespaces, paging, versions, wording
from controlplane.server.admission import Attributes
from controlplane.server.authorization import Action, Authorizer, MastersOnly, authorize
from controlplane.server.computed import ComputedKinds
from controlplane.server.requests import DeleteOptions, ListOptions, Operation, WriteOptions
from controlplane.server.selection import selection_of
from controlplane.server.tokens import TokenIssuer
from controlplane.server.views import View, view_of
from controlplane.server.watching import Watch
from controlplane.server.writing import Writer
from controlplane.store import Key, Revision, Store


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a delete left: the object's last state, and whether it is gone or only marked."""

    revision: Revision
    gone: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What an update or a server-side apply left, and whether it made the object."""

    revision: Revision
    created: bool


class Registry:
    """Objects of every kind of `scheme`, read from `store` and written through `writer`.

    `authorizer` is for those who carry requests here; the registry itself asks it where a write turns out to create.
    """

    def __init__(
        self,
        store: Store,
        writer: Writer,
        *,
        scheme: Scheme = SCHEME,
        tokens: TokenIssuer | None = None,
        authorizer: Authorizer | None = None,
    ) -> None:
        self.store = store
        self.scheme = scheme
        self.tokens = tokens or TokenIssuer()
        self.authorizer = authorizer or MastersOnly()
        self.writer = writer
        self.computed = ComputedKinds(store)

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
        return await self.writer.until_settled(
            kind, lambda body: self._create_shown(kind, namespace, body, options), body
        )

    async def _create_shown(self, kind: Kind, namespace: str, body: Object, options: WriteOptions) -> Revision:
        obj = self._to_stored(kind, namespace, self._decode(kind, body, options), options)
        return await versions.shown_now(kind, await self.writer.create(kind.storage, namespace, obj, options))

    async def update(
        self, kind: Kind, name: str, namespace: str, body: Object, options: WriteOptions, *, subresource: str = ""
    ) -> Revision:
        """Replaces the object, or its part, as `put` does."""
        return (await self.put(kind, name, namespace, body, options, subresource=subresource)).revision

    async def put(
        self, kind: Kind, name: str, namespace: str, body: Object, options: WriteOptions, *, subresource: str = ""
    ) -> Applied:
        """Replaces the object, or its part; Conflict when `body` names a resourceVersion that is not current.

        Makes the object where there is none and its kind `put_creates`.
        """
        return await self.writer.until_settled(
            kind, lambda body: self._put(kind, name, namespace, body, options, subresource), body
        )

    async def _put(
        self, kind: Kind, name: str, namespace: str, body: Object, options: WriteOptions, subresource: str
    ) -> Applied:
        view = view_of(kind, subresource)
        part = self._decode(view.body(kind), body, options)
        metadata.match(kind, part, name, namespace)
        _check_part(kind, view.body(kind), name, part)
        makes = kind.put_creates and not subresource
        if makes and self.store.latest(Key(kind.storage.resource, namespace, name)) is None:
            self._authorize_create(kind, name, namespace, options)
            part["metadata"].pop("resourceVersion", None)
            return Applied(await self._create_shown(kind, namespace, part, options), created=True)
        previous = self._latest(kind, name, namespace)
        return Applied(await self._replace(kind, previous, part, view, subresource, options), created=False)

    def _authorize_create(self, kind: Kind, name: str, namespace: str, options: WriteOptions) -> None:
        authorize(self.authorizer, options.user, Action("create", kind.group, kind.plural, "", namespace, name))

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
        return await self.writer.until_settled(
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
        return await self.writer.until_settled(
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
            self._authorize_create(kind, name, namespace, options)
            made = applying.merged(kind, None, config, options)
            created = await self.writer.create(kind, namespace, made, options, applied=True)
            return Applied(await versions.shown_now(asked, created), created=True)
        # The result shares parts with the object that it was made from, and is changed later.
        new = applying.merged(kind, versions.shown_object(kind, previous.decode()), config, options, subresource)
        new = decoding.decode_object(kind, new).object
        old = versions.shown_object(kind, previous.decode())
        stored = await self.writer.update(kind, previous, old, new, subresource, options, applied=True)
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
        await self.writer.admission.consult(request)

    async def modify(
        self, kind: Kind, name: str, namespace: str, change: Callable[[Object], None], options: WriteOptions
    ) -> Revision:
        """Changes an object in place for the server's own purposes, such as binding; `change` may raise to refuse."""
        previous = self._latest(kind, name, namespace)
        obj = previous.decode()
        change(obj)
        return await self.writer.write(previous.key, obj, previous, options)

    async def delete(self, kind: Kind, name: str, namespace: str, options: DeleteOptions) -> Deleted:
        """Removes the object, or marks it where a grace period or finalizers hold it."""
        return await self.writer.until_settled(kind, lambda _: self._delete(kind, name, namespace, options), None)

    async def _delete(self, kind: Kind, name: str, namespace: str, options: DeleteOptions) -> Deleted:
        previous = self._latest(kind, name, namespace)
        asked, kind = kind, kind.storage
        obj = previous.decode()
        write = WriteOptions(user=options.user, dry_run=options.dry_run)
        await self.writer.allow_delete(kind, obj, previous, write)
        deletion.check_preconditions(kind, obj, options)
        held = namespaces.hold(obj) if kind is NAMESPACE else False
        gone = deletion.mark_deleted(kind, obj, options) if not held else False
        if not gone and obj == previous.document:
            return Deleted(await versions.shown_now(asked, previous), gone=False)
        if not gone:
            written = await self.writer.write(previous.key, obj, previous, write)
            return Deleted(await versions.shown_now(asked, written), gone=False)
        if options.dry_run:
            return Deleted(await versions.shown_now(asked, previous), gone=True)
        removed = await self.writer.remove(previous.key, obj, previous)
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
        self.writer.check(kind, obj, kind.strategy.validate(obj), options)
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
        stored = await self.writer.update(kind.storage, previous, old, new, subresource, options)
        stored = await versions.shown_now(kind, stored)
        return _shown(view, stored) if subresource else stored


def _check_part(kind: Kind, body: Kind, name: str, part: Object) -> None:
    """Invalid when a body of another kind, such as a Scale, is wrong in itself."""
    if body is not kind and (errors := body.strategy.validate(part)):
        raise Invalid.of(body.group, body.name, name, errors)


def _shown(view: View, revision: Revision) -> Revision:
    document = view.show(revision.document)
    if document is revision.document:
        return revision
    return Revision(revision.key, revision.number, orjson.dumps(document), document)
