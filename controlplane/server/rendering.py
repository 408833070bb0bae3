"""Objects and lists as bytes, in the form that the caller wants.

In the plain form the stored bytes go out as they are. Tables and metadata are made per request.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from controlplane.api.tables import Include, partial_metadata, partial_metadata_list, table
from controlplane.api.types import Kind, Object
from controlplane.server.negotiation import Wanted
from controlplane.server.paging import Page
from controlplane.server.watching import EventType
from controlplane.store import Revision


def one(kind: Kind, revision: Revision, want: Wanted, include: Include = "Metadata") -> bytes:
    """One object. `include` is includeObject of Table requests."""
    if want.form == "table":
        metadata = {"resourceVersion": str(revision.number)}
        return orjson.dumps(table(kind, [revision.document], metadata, include=include) | _version(want))
    if want.form == "metadata":
        return orjson.dumps(partial_metadata(revision.document) | _version(want))
    return revision.data


def many(kind: Kind, page: Page, want: Wanted, include: Include = "Metadata") -> bytes:
    """A list, with its metadata."""
    metadata: dict[str, Any] = {"resourceVersion": str(page.resource_version)}
    if page.continue_token:
        metadata["continue"] = page.continue_token
        if page.remaining is not None:
            metadata["remainingItemCount"] = page.remaining
    if want.form == "table":
        documents = (revision.document for revision in page.revisions)
        return orjson.dumps(table(kind, documents, metadata, include=include) | _version(want))
    if want.form == "metadata":
        documents = (revision.document for revision in page.revisions)
        return orjson.dumps(partial_metadata_list(documents, metadata) | _version(want))
    head = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": metadata}
    return _with_items(orjson.dumps(head), (revision.data for revision in page.revisions))


class EventRenderer:
    """Lines of a watch; a Table watch names its columns only in the first."""

    def __init__(self, kind: Kind, want: Wanted, include: Include = "Metadata") -> None:
        self._kind = kind
        self._want = want
        self._include = include
        self._first = True

    def line(self, type_: EventType, revision: Revision) -> bytes:
        """One event."""
        if self._want.form == "table":
            metadata = {"resourceVersion": str(revision.number)}
            rows = table(self._kind, [revision.document], metadata, include=self._include, headers=self._first)
            self._first = False
            data = orjson.dumps(rows | _version(self._want))
        elif self._want.form == "metadata":
            data = orjson.dumps(partial_metadata(revision.document) | _version(self._want))
        else:
            data = revision.data
        return b'{"type":"%b","object":%b}\n' % (type_.encode(), data)

    def bookmark(self, number: int, *, initial_end: bool = False) -> bytes:
        """Says that the reader has seen everything up to revision `number`."""
        metadata: dict[str, Any] = {"resourceVersion": str(number)}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        obj: dict[str, Any] = {"kind": self._kind.name, "apiVersion": self._kind.api_version, "metadata": metadata}
        if self._want.form == "table":
            obj = {"kind": "Table", "metadata": metadata, "columnDefinitions": [], "rows": [_row(obj)]} | _version(
                self._want
            )
        elif self._want.form == "metadata":
            obj = partial_metadata(obj) | _version(self._want)
        return b'{"type":"BOOKMARK","object":%b}\n' % orjson.dumps(obj)


def error_line(status: Object) -> bytes:
    """The last line of a watch that failed."""
    return b'{"type":"ERROR","object":%b}\n' % orjson.dumps(status)


def _with_items(head: bytes, items: Iterable[bytes]) -> bytes:
    return b'%b,"items":[%b]}' % (head[:-1], b",".join(items))


def _row(obj: Object) -> Object:
    return {"cells": [], "object": partial_metadata(obj)}


def _version(want: Wanted) -> Object:
    return {"apiVersion": f"meta.k8s.io/{want.version}"}
