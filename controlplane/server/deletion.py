"""What a delete does to an object: remove it now, or mark it and wait; after upstream's rest.BeforeDelete.

Pure functions over decoded objects. Pods that run get a grace period; finalizers hold any object;
propagationPolicy Orphan and Foreground are finalizers that the garbage collector takes off.
"""

from __future__ import annotations

import time
from calendar import timegm

from controlplane.api.meta import FOREGROUND, ORPHAN, timestamp
from controlplane.api.types import Kind, Object
from controlplane.server.metadata import precondition_failed
from controlplane.server.requests import DeleteOptions


def check_preconditions(kind: Kind, obj: Object, options: DeleteOptions) -> None:
    """Conflict when the object is not the one that the caller means."""
    metadata = obj["metadata"]
    if options.uid and options.uid != metadata["uid"]:
        raise precondition_failed(kind, metadata["name"], "UID", options.uid, metadata["uid"])
    if options.resource_version and options.resource_version != metadata["resourceVersion"]:
        wanted, found = options.resource_version, metadata["resourceVersion"]
        raise precondition_failed(kind, metadata["name"], "ResourceVersion", wanted, found)


def mark_deleted(kind: Kind, obj: Object, options: DeleteOptions) -> bool:
    """Changes `obj` as a delete asks; returns whether it can be removed now.

    When False, the object is to be stored as it is now, if that changed it at all.
    """
    metadata = obj["metadata"]
    _set_propagation(metadata, options)
    grace = _grace_period(kind, obj, options)
    held = bool(metadata.get("finalizers"))
    if not grace and not held:
        return True
    if "deletionTimestamp" in metadata:
        _shorten(metadata, grace, asked=options.grace_period_seconds is not None)
        return False
    metadata["deletionTimestamp"] = timestamp(time.time() + grace)
    metadata["deletionGracePeriodSeconds"] = grace
    if metadata.get("generation", 0) > 0:
        metadata["generation"] += 1
    return False


def finished(obj: Object) -> bool:
    """Whether an object that was marked has nothing left that holds it; asked after every update."""
    metadata = obj["metadata"]
    return (
        "deletionTimestamp" in metadata
        and not metadata.get("finalizers")
        and not metadata.get("deletionGracePeriodSeconds")
    )


def _grace_period(kind: Kind, obj: Object, options: DeleteOptions) -> int:
    if kind.grace_period is None:
        return 0
    spec = obj.get("spec", {})
    if not spec.get("nodeName") or obj.get("status", {}).get("phase") in ("Failed", "Succeeded"):
        return 0
    asked = options.grace_period_seconds
    if asked is None:
        pending = obj["metadata"].get("deletionGracePeriodSeconds")
        asked = pending if pending is not None else spec.get("terminationGracePeriodSeconds", kind.grace_period)
    return 1 if asked < 0 else int(asked)


def _shorten(metadata: Object, grace: int, *, asked: bool) -> None:
    """A second delete may only bring the end nearer."""
    before = metadata.get("deletionGracePeriodSeconds", 0)
    if not asked or grace >= before:
        return
    begun = timegm(time.strptime(metadata["deletionTimestamp"], "%Y-%m-%dT%H:%M:%SZ")) - before
    metadata["deletionTimestamp"] = timestamp(begun + grace)
    metadata["deletionGracePeriodSeconds"] = grace


def _set_propagation(metadata: Object, options: DeleteOptions) -> None:
    if options.propagation_policy is None:
        return
    wanted = {"Orphan": ORPHAN, "Foreground": FOREGROUND}.get(options.propagation_policy)
    before = metadata.get("finalizers", [])
    after = [one for one in before if one not in (ORPHAN, FOREGROUND)] + ([wanted] if wanted else [])
    if after != before:
        metadata["finalizers"] = after
        if not after:
            del metadata["finalizers"]
