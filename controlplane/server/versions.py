"""Objects in the version that was asked for, kept in another.

Two versions of one resource are two kinds over the same stored objects (`types.Conversion`). What is
read is converted when it goes out, what is written when it has come in; in between there is only the
stored form.
"""

from __future__ import annotations

import orjson

from controlplane.api.types import Kind, Object
from controlplane.store import Revision


def shown(kind: Kind, revision: Revision) -> Revision:
    """The stored `revision` as an object of `kind`."""
    if kind.conversion is None:
        return revision
    document = revision.document
    converted = kind.conversion.from_stored(document)
    if converted is document:
        return revision
    return Revision(revision.key, revision.number, orjson.dumps(converted), converted)


def shown_object(kind: Kind, obj: Object) -> Object:
    """The stored `obj` as an object of `kind`."""
    return obj if kind.conversion is None else kind.conversion.from_stored(obj)


def stored(kind: Kind, obj: Object) -> Object:
    """What is kept of `obj`, which is of `kind`."""
    return obj if kind.conversion is None else kind.conversion.to_stored(obj)
