"""Adoption and release: which of the objects a selector matches belong to an owner.

An object without a controller that matches is adopted; one that we control and that matches no
longer is released; an object of another controller is left alone. Every patch carries the
resource version that was judged, so that a change in between makes it a Conflict and not a theft.
"""

from __future__ import annotations

from collections.abc import Iterable

from controlplane.api.errors import Invalid, NotFound
from controlplane.api.scheme import SCHEME
from controlplane.api.selectors import LabelPredicate
from controlplane.api.types import Kind, Object
from controlplane.client.interface import Client
from controlplane.controllers.meta import controller_of, controller_reference, is_deleting


async def claim(
    client: Client, kind: Kind, owner: Object, candidates: Iterable[Object], matches: LabelPredicate
) -> list[Object]:
    """The objects of `kind` among `candidates` that `owner` controls after adopting and releasing."""
    claimed = []
    uid = owner["metadata"]["uid"]
    for obj in candidates:
        controller = controller_of(obj)
        fits = matches(obj["metadata"].get("labels") or {})
        if controller is not None:
            if controller["uid"] != uid:
                continue
            if fits:
                claimed.append(obj)
            elif not is_deleting(owner):
                await _release(client, kind, owner, obj)
        elif fits and not is_deleting(owner) and not is_deleting(obj):
            adopted = await _adopt(client, kind, owner, obj)
            if adopted is not None:
                claimed.append(adopted)
    return claimed


async def _adopt(client: Client, kind: Kind, owner: Object, obj: Object) -> Object | None:
    """Adopts after asking the API itself that the owner still lives: the cache may be late."""
    if not await _still_lives(client, owner):
        return None
    references = [*obj["metadata"].get("ownerReferences", ()), controller_reference(owner)]
    return await _set_references(client, kind, obj, references)


async def _release(client: Client, kind: Kind, owner: Object, obj: Object) -> None:
    uid = owner["metadata"]["uid"]
    references = [ref for ref in obj["metadata"]["ownerReferences"] if ref["uid"] != uid]
    await _set_references(client, kind, obj, references)


async def _still_lives(client: Client, owner: Object) -> bool:
    kind = SCHEME.of(owner["apiVersion"], owner["kind"])
    assert kind is not None, f"{owner['kind']} is a served kind"
    metadata = owner["metadata"]
    try:
        live = await client.get(kind, metadata["name"], metadata.get("namespace", ""))
    except NotFound:
        return False
    return bool(live["metadata"]["uid"] == metadata["uid"]) and not is_deleting(live)


async def _set_references(
    client: Client, kind: Kind, obj: Object, references: list[dict[str, object]]
) -> Object | None:
    metadata = obj["metadata"]
    body = {
        "metadata": {
            "uid": metadata["uid"],
            "resourceVersion": metadata["resourceVersion"],
            "ownerReferences": references or None,
        }
    }
    try:
        return await client.patch(kind, metadata["name"], metadata["namespace"], body=body, patch_type="merge")
    except (NotFound, Invalid):
        # Gone, or replaced by another of that name: neither is ours to claim.
        return None
