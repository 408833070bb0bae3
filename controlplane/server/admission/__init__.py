"""Admission: what a request has to pass, or gets filled in, besides its kind's own rules.

One file per plugin, in upstream's order. A plugin is synchronous and reads the store's memory, so
that a whole read-change-write is one step of the loop.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from controlplane.api.types import Kind, Object
from controlplane.server.requests import Operation, WriteOptions
from controlplane.store import Store

DEFAULTS = WriteOptions()


@dataclass(frozen=True, slots=True)
class Attributes:
    """One request. `obj` may be changed by a plugin; it is the old object for DELETE."""

    operation: Operation
    kind: Kind
    namespace: str
    name: str
    obj: Object
    old: Object | None = None
    subresource: str = ""
    options: WriteOptions = DEFAULTS


class Plugin(Protocol):
    """Raises an ApiError to refuse the request."""

    def admit(self, request: Attributes, store: Store) -> None: ...
