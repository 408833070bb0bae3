"""Objects in the version that was asked for, kept in another.

Two versions of one resource are two kinds over the same stored objects (`types.Conversion`). What is
read is converted when it goes out, what is written when it has come in; in between there is only the
stored form.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

import orjson

from controlplane.api.errors import InternalError
from controlplane.api.types import Kind, Object
from controlplane.store import Revision

TRIES = 32
Result = TypeVar("Result")


class NotConverted(Exception):
    """Somebody else has to convert objects first, which takes time: await `convert` and try again."""

    def __init__(self, convert: Callable[[], Awaitable[None]]) -> None:
        super().__init__("objects are not converted yet")
        self.convert = convert


async def settled(attempt: Callable[[], Result]) -> Result:
    """The result of `attempt`, tried again as long as something had to be converted for it."""
    for _ in range(TRIES):
        try:
            return attempt()
        except NotConverted as need:
            await need.convert()
    raise InternalError("the conversion of objects does not come to an end")


def is_remote(kind: Kind) -> bool:
    """Whether objects of `kind` may raise NotConverted."""
    return kind.conversion is not None and kind.conversion.prepare is not None


async def prepare(kind: Kind, revisions: Iterable[Revision]) -> None:
    """Makes sure that `revisions` can be shown as objects of `kind` at once."""
    conversion = kind.conversion
    if conversion is not None and conversion.prepare is not None:
        ready, documents = conversion.prepare, [revision.document for revision in revisions]
        await settled(lambda: ready(documents))


def shown(kind: Kind, revision: Revision) -> Revision:
    """The stored `revision` as an object of `kind`."""
    if kind.conversion is None:
        return revision
    document = revision.document
    converted = kind.conversion.from_stored(document)
    if converted is document:
        return revision
    return Revision(revision.key, revision.number, orjson.dumps(converted), converted)


async def shown_now(kind: Kind, revision: Revision) -> Revision:
    """`shown`, after waiting for others to convert: for what has been written and must not be tried again."""
    if is_remote(kind):
        await prepare(kind, [revision])
    return shown(kind, revision)


def shown_object(kind: Kind, obj: Object) -> Object:
    """The stored `obj` as an object of `kind`."""
    return obj if kind.conversion is None else kind.conversion.from_stored(obj)


def stored(kind: Kind, obj: Object) -> Object:
    """What is kept of `obj`, which is of `kind`."""
    return obj if kind.conversion is None else kind.conversion.to_stored(obj)
