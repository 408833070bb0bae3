"""How a namespace goes: it is marked, emptied by its controller, finalized, and then removed."""

from __future__ import annotations

from controlplane.api.kinds import NAMESPACE
from controlplane.api.meta import timestamp
from controlplane.api.types import Object
from controlplane.server import wording
from controlplane.server.requests import DeleteOptions

BEING_EMPTIED = (
    "The system is ensuring all content is removed from this namespace."
    "  Upon completion, this namespace will automatically be purged by the system."
)


def hold(obj: Object, _options: DeleteOptions) -> bool:
    """Marks a namespace that still has content to lose; False when it can be removed.

    Conflict when it is already on its way.
    """
    if not obj.get("spec", {}).get("finalizers") and not obj["metadata"].get("finalizers"):
        return False
    if "deletionTimestamp" in obj["metadata"]:
        raise wording.conflict(NAMESPACE, obj["metadata"]["name"], BEING_EMPTIED)
    obj["metadata"]["deletionTimestamp"] = timestamp()
    obj["status"] = obj.get("status", {}) | {"phase": "Terminating"}
    return True


def finished(obj: Object) -> bool:
    """Whether nothing holds the namespace any more."""
    return not obj.get("spec", {}).get("finalizers")
