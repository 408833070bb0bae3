"""What PATCH means for each content type.

Server-side apply is not here but in `apply`: besides the object it needs the manager's name and the
object's owners, and it may create.
"""

from __future__ import annotations

from typing import Any, Literal

from controlplane.api.definitions import node_of
from controlplane.api.errors import BadRequest, UnsupportedMediaType
from controlplane.api.jsonpatch import apply_json_patch, merge_patch
from controlplane.api.strategic import strategic_patch
from controlplane.api.types import Kind, Object

ChangeType = Literal["json", "merge", "strategic"]
"""Patches that say what to change of an object that is there."""

PatchType = Literal[ChangeType, "apply"]

CONTENT_TYPES: dict[str, PatchType] = {
    "application/json-patch+json": "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}


def content_types(kind: Kind) -> list[str]:
    """The media types of patches that `kind` takes: strategic merges only where there is an installed definition."""
    return [media for media, patch_type in CONTENT_TYPES.items() if patch_type != "strategic" or kind.schema is None]


def patch_type_of(kind: Kind, content_type: str) -> PatchType:
    """The patch type of a Content-Type header; UnsupportedMediaType when it is none of the kind's."""
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type not in content_types(kind):
        accepted = ", ".join(content_types(kind))
        raise UnsupportedMediaType(
            f"the body of the request was in an unknown format - accepted media types include: {accepted}"
        )
    return CONTENT_TYPES[media_type]


def apply_patch(kind: Kind, obj: Object, body: Any, patch_type: ChangeType) -> Object:
    """`obj` as `body` changes it, not yet decoded, defaulted or validated; `obj` stays as it is."""
    match patch_type:
        case "json":
            patched = apply_json_patch(obj, body)
        case "merge":
            if not isinstance(body, dict):
                raise BadRequest("error decoding patch: a merge patch is an object")
            patched = merge_patch(obj, body)
        case "strategic":
            patched = strategic_patch(node_of(kind), obj, body)
    if not isinstance(patched, dict):
        raise BadRequest(f"the patch leaves no {kind.name}")
    return patched
