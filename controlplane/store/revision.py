"""One stored state of one object, and the change that led to it.

The encoded bytes are the truth: they are what is on disk and what goes out over HTTP unchanged.
The decoded form is a convenience shared by everything in the process, kept only while the change
is recent, so that ten informers decode it once and ten thousand idle objects cost only their bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

Document = dict[str, Any]


def encoded(document: Document) -> bytes:
    """An object as it is stored, in as much memory as it needs.

    What orjson returns keeps the buffer that it was written into, which is several times as long.
    """
    return bytes(memoryview(orjson.dumps(document)))


class Key(NamedTuple):
    """Where an object is stored: its group resource ("pods", "deployments.apps"), namespace, name."""

    resource: str
    namespace: str
    name: str

    def text(self) -> str:
        """The key column of the database; none of the parts can hold a slash."""
        return f"{self.resource}/{self.namespace}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> Key:
        """The inverse of `text`."""
        return cls(*text.split("/", 2))


class Revision:
    """An object as it was at revision `number`; immutable but for the cache of its decoded form."""

    __slots__ = ("_document", "_recent", "data", "key", "number")

    def __init__(self, key: Key, number: int, data: bytes, document: Document | None = None) -> None:
        self.key = key
        self.number = number
        self.data = data
        self._document = document
        self._recent = document is not None

    @property
    def document(self) -> Document:
        """The decoded object, shared: copy before you change it."""
        if self._document is not None:
            return self._document
        document: Document = orjson.loads(self.data)
        if self._recent:
            self._document = document
        return document

    def decode(self) -> Document:
        """A decoded copy that belongs to the caller."""
        document: Document = orjson.loads(self.data)
        return document

    def age(self) -> None:
        """Lets go of the decoded form: the change is no longer recent."""
        self._recent = False
        self._document = None


@dataclass(frozen=True, slots=True)
class Change:
    """One committed write. `previous` is None for a create. For a delete, `current` is the last
    state under the revision of the deletion."""

    current: Revision
    previous: Revision | None
    deleted: bool = False
