"""The part of metadata that belongs to a request: its namespace and name, and preconditions on uid and version.

What the system fills in and what an update may not change is in `controlplane.api.meta`.
"""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import BadRequest, Conflict, FieldError, Invalid
from controlplane.api.types import Kind, Object
from controlplane.server import wording

OTHER_NAMESPACE = "the namespace of the provided object does not match the namespace sent on the request"


def settle_namespace(kind: Kind, obj: Object, namespace: str) -> str:
    """Makes the object's namespace that of the request, and returns it; BadRequest when they differ."""
    metadata = obj["metadata"]
    if not kind.namespaced:
        return ""
    own = str(metadata.get("namespace") or namespace)
    if namespace and own != namespace:
        raise BadRequest(OTHER_NAMESPACE)
    if not own:
        raise BadRequest("an empty namespace may not be set during creation")
    metadata["namespace"] = own
    return own


def settle_name(obj: Object) -> str:
    """Generates a name where the object has none; returns the base it was made from, "" if none was."""
    metadata = obj["metadata"]
    base = str(metadata.get("generateName", ""))
    if metadata.get("name") or not base:
        return ""
    metadata["name"] = meta.generate_name(base)
    return base


def match(kind: Kind, obj: Object, name: str, namespace: str) -> None:
    """Fills in the name and namespace of the request; BadRequest when the body has others."""
    settle_namespace(kind, obj, namespace)
    found = obj["metadata"].setdefault("name", name)
    if found != name:
        raise BadRequest(f"the name of the object ({found}) does not match the name on the URL ({name})")


def check_current(kind: Kind, new: Object, old: Object) -> None:
    """Conflict when `new` was made from another object, or from another version of it, than `old`.

    Invalid when it does not say from which, and its kind takes no updates of that sort.
    """
    metadata, before = new["metadata"], old["metadata"]
    uid, version = metadata.get("uid"), metadata.get("resourceVersion")
    if uid and uid != before["uid"]:
        raise precondition_failed(kind, before["name"], "UID", uid, before["uid"])
    if version and version != before["resourceVersion"]:
        raise wording.conflict(kind, before["name"])
    if not version and kind.needs_version:
        error = FieldError(
            "FieldValueInvalid", "metadata.resourceVersion", "Invalid value: 0x0: must be specified for an update"
        )
        raise Invalid.of(kind.group, kind.plural, before["name"], [error])
    metadata["resourceVersion"] = before["resourceVersion"]


def precondition_failed(kind: Kind, name: str, what: str, wanted: str, found: str) -> Conflict:
    """Upstream's words for a precondition on UID or ResourceVersion that does not hold."""
    why = f"Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {found}"
    return wording.conflict(kind, name, why)
