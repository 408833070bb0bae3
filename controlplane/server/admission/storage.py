"""What admission does for storage: default class, protection of what is in use, growth only where it is allowed.

DefaultStorageClass, StorageObjectInUseProtection and PersistentVolumeClaimResize of upstream. The
finalizers that the second adds are taken off by the storage controllers.
"""

from __future__ import annotations

from controlplane.api import quantity
from controlplane.api.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, STORAGE_CLASS
from controlplane.api.printing.storage import CLASS_ANNOTATION, class_of, is_default_class
from controlplane.api.types import Kind, Object
from controlplane.server import wording
from controlplane.server.admission import Attributes
from controlplane.store import Key, Store

FINALIZERS: dict[Kind, str] = {
    PERSISTENT_VOLUME: "kubernetes.io/pv-protection",
    PERSISTENT_VOLUME_CLAIM: "kubernetes.io/pvc-protection",
}


def newest_default(candidates: list[Object]) -> Object | None:
    """Of several defaults the one made last, and of those the first by name."""
    ordered = sorted(candidates, key=lambda one: str(one["metadata"]["name"]))
    return max(ordered, key=lambda one: str(one["metadata"].get("creationTimestamp", "")), default=None)


class DefaultStorageClass:
    """A claim that names no class gets the default one, if there is one."""

    def admit(self, request: Attributes, store: Store) -> None:
        if request.kind is not PERSISTENT_VOLUME_CLAIM or request.operation != "CREATE":
            return
        spec = request.obj.setdefault("spec", {})
        annotated = CLASS_ANNOTATION in request.obj["metadata"].get("annotations", {})
        if "storageClassName" in spec or annotated:
            return
        defaults = [one.document for one in store.objects(STORAGE_CLASS.resource) if is_default_class(one.document)]
        chosen = newest_default(defaults)
        if chosen is not None:
            spec["storageClassName"] = chosen["metadata"]["name"]


class StorageObjectInUseProtection:
    """Volumes and claims are held until nothing uses them."""

    def admit(self, request: Attributes, store: Store) -> None:
        finalizer = FINALIZERS.get(request.kind)
        if finalizer is None or request.operation != "CREATE":
            return
        metadata = request.obj["metadata"]
        finalizers = metadata.get("finalizers", [])
        if finalizer not in finalizers:
            metadata["finalizers"] = [*finalizers, finalizer]


class PersistentVolumeClaimResize:
    """A claim grows only when it is bound, and of a class that says it may."""

    def admit(self, request: Attributes, store: Store) -> None:
        if request.kind is not PERSISTENT_VOLUME_CLAIM or request.subresource or request.old is None:
            return
        if request.operation != "UPDATE" or not _grows(request.obj, request.old):
            return
        if request.old.get("status", {}).get("phase") != "Bound":
            why = "Only bound persistent volume claims can be expanded"
            raise wording.forbidden(request.kind, request.name, why)
        name = class_of(request.obj)
        found = store.latest(Key(STORAGE_CLASS.resource, "", name)) if name else None
        if found is None or not found.document.get("allowVolumeExpansion"):
            why = (
                "only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must"
                " support resize"
            )
            raise wording.forbidden(request.kind, request.name, why)


def _grows(new: Object, old: Object) -> bool:
    size, before = (
        quantity.nanos(one.get("spec", {}).get("resources", {}).get("requests", {}).get("storage", 0))
        for one in (new, old)
    )
    return size > before
