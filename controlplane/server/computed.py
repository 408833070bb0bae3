"""Kinds of which nothing is kept: their objects are worked out when somebody asks, and can only be read.

Resource metrics are such. Of their lists there is one page, and its version is the store's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from controlplane.api.types import Kind, Object
from controlplane.server.paging import Page
from controlplane.server.watching import Selection
from controlplane.store import Key, Revision, Store

Source = Callable[[], Sequence[Object]]
"""Every object of a kind, of all namespaces, with apiVersion and kind set."""


class ComputedKinds:
    """The sources, by kind."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sources: dict[Kind, Source] = {}

    def __contains__(self, kind: Kind) -> bool:
        return kind in self._sources

    def serve(self, kind: Kind, source: Source) -> None:
        """Has the objects of `kind` come from `source` from now on."""
        self._sources[kind] = source

    def get(self, kind: Kind, name: str, namespace: str) -> Revision | None:
        """One object; None when there is none."""
        for obj in self._sources[kind]():
            if (obj["metadata"]["name"], obj["metadata"].get("namespace", "")) == (name, namespace):
                return self._revision(kind, obj)
        return None

    def list(self, kind: Kind, namespace: str, selection: Selection) -> Page:
        """Those of one namespace, or of all, that are selected."""
        chosen = (
            self._revision(kind, obj)
            for obj in self._sources[kind]()
            if namespace in ("", obj["metadata"].get("namespace", ""))
        )
        return Page([revision for revision in chosen if selection.takes(revision)], self._store.revision)

    def _revision(self, kind: Kind, obj: Object) -> Revision:
        metadata = obj["metadata"]
        key = Key(kind.resource, metadata.get("namespace", ""), metadata["name"])
        return Revision(key, self._store.revision, orjson.dumps(obj), obj)
