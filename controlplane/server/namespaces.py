"""How a namespace goes: it is marked, emptied by its controller, finalized, and then removed."""

from __future__ import annotations

from controlplane.api.meta import timestamp
from controlplane.api.types import Object


def hold(obj: Object) -> bool:
    """Marks a namespace that still has content to lose; False when it can be removed."""
    if not obj.get("spec", {}).get("finalizers") and not obj["metadata"].get("finalizers"):
        return False
    if "deletionTimestamp" in obj["metadata"]:
        return True
    obj["metadata"]["deletionTimestamp"] = timestamp()
    obj["status"] = obj.get("status", {}) | {"phase": "Terminating"}
    return True


def finished(obj: Object) -> bool:
    """Whether nothing holds the namespace any more."""
    return not obj.get("spec", {}).get("finalizers")
