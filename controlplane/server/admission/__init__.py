"""Admission: what a request has to pass, or gets filled in, besides its kind's own rules.

One file per plugin; `chain.py` asks them in upstream's order. A plugin is synchronous and reads the
store's memory, so that a whole read-change-write is one step of the loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
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

    def with_object(self, obj: Object) -> Attributes:
        """The same request for another state of its object."""
        return self if obj is self.obj else replace(self, obj=obj)


class Plugin(Protocol):
    """Fills in the object in place; raises an ApiError to refuse the request."""

    def admit(self, request: Attributes, store: Store) -> None: ...


class Check(Protocol):
    """Changes nothing; raises an ApiError to refuse the request."""

    def check(self, request: Attributes, store: Store) -> None: ...


class Hooks(Protocol):
    """Admission by others: asked between this server's own plugins and the checks, and again after those.

    `active` is whether there is anybody to ask; nothing else is looked at while there is not.
    """

    @property
    def active(self) -> bool: ...

    async def mutate(self, request: Attributes) -> Object: ...

    async def validate(self, request: Attributes) -> None: ...


class NoHooks:
    """Nobody."""

    active = False

    async def mutate(self, request: Attributes) -> Object:
        return request.obj

    async def validate(self, request: Attributes) -> None:
        return
