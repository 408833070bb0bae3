"""Server-side apply and field ownership in requests: who writes, and bodies that declare.

The semantics are in `controlplane.api.apply` and `controlplane.api.ownership`; this gives them what a
request says. Writers who name no field manager are known by their program (the part of User-Agent
before the slash) or, inside the daemon, by their user.
"""

from __future__ import annotations

from typing import Any

from controlplane.api import decode as decoding
from controlplane.api import ownership
from controlplane.api.apply import server_side_apply
from controlplane.api.errors import BadRequest
from controlplane.api.kinds import SCALE
from controlplane.api.meta import timestamp
from controlplane.api.types import Kind, Object
from controlplane.server.requests import WriteOptions
from controlplane.server.views import with_value


def declared(kind: Kind, body: Kind, config: Any) -> Object:
    """The object of kind `body` that `config` is; BadRequest for fields that there are not."""
    obj, problems = decoding.decode_object(body, config, "Warn")
    unknown = [text.split('"')[1] for text in problems]
    metadata = obj.setdefault("metadata", {})
    if unknown:
        place = "/".join(part for part in (metadata.get("namespace", ""), metadata.get("name", "")) if part)
        raise BadRequest(
            f"failed to create typed patch object ({place}; {kind.api_version}, Kind={kind.name}):"
            f" .{unknown[0]}: field not declared in schema"
        )
    return obj


def configuration(kind: Kind, body: Kind, part: Object) -> Object:
    """What `part`, of kind `body`, declares of an object of `kind`."""
    if body is not SCALE:
        return part
    replicas = part.get("spec", {}).get("replicas", 0)
    identity = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": part["metadata"]}
    return with_value(identity, kind.scale.spec_replicas, replicas)


def merged(kind: Kind, live: Object | None, config: Object, options: WriteOptions, subresource: str = "") -> Object:
    """`live` with `config` applied by the writer of the request."""
    return server_side_apply(
        kind, live, config, options.manager, now=timestamp(), force=options.force, subresource=subresource
    )


def tracked_create(kind: Kind, obj: Object, options: WriteOptions) -> Object:
    """`obj` with its owner, if it is to be followed: its writer names himself, or the body has owners."""
    if not options.field_manager and "managedFields" not in obj["metadata"]:
        return obj
    return ownership.track_create(kind, obj, options.manager, now=timestamp())


def tracked_update(kind: Kind, old: Object, new: Object, subresource: str, options: WriteOptions) -> Object:
    """`new` with its owners after a write to an object that is followed."""
    return ownership.track_update(kind, old, new, options.manager, now=timestamp(), subresource=subresource)
