"""Rows of volumes, claims and what drivers say about themselves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.api.printing.cells import AGE, NAME, NONE, UNSET, age
from controlplane.api.types import Column, Object

DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"
BETA_DEFAULT_CLASS = "storageclass.beta.kubernetes.io/is-default-class"
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"

MODES = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}

_CAPACITY = Column("Capacity", description="How much it holds.")
_MODES = Column("Access Modes", description="How it may be mounted.")
_CLASS = Column("StorageClass", description="The storage class that it belongs to.")
_ATTRIBUTES = Column("VolumeAttributesClass", description="The class of its changeable attributes.")
_VOLUME_MODE = Column("VolumeMode", priority=1, description="Filesystem or Block.")

VOLUME_COLUMNS = (
    NAME,
    _CAPACITY,
    _MODES,
    Column("Reclaim Policy", description="What happens to the volume when its claim goes."),
    Column("Status", description="The phase of the volume."),
    Column("Claim", description="The claim that it is bound to."),
    _CLASS,
    _ATTRIBUTES,
    Column("Reason", description="Why the volume is in its phase."),
    AGE,
    _VOLUME_MODE,
)

CLAIM_COLUMNS = (
    NAME,
    Column("Status", description="The phase of the claim."),
    Column("Volume", description="The volume that it is bound to."),
    _CAPACITY,
    _MODES,
    _CLASS,
    _ATTRIBUTES,
    AGE,
    _VOLUME_MODE,
)

CLASS_COLUMNS = (
    NAME,
    Column("Provisioner", description="Who makes volumes of this class."),
    Column("ReclaimPolicy", description="What happens to a volume when its claim goes."),
    Column("VolumeBindingMode", description="When claims are bound."),
    Column("AllowVolumeExpansion", description="Whether claims may grow."),
    AGE,
)

ATTRIBUTES_CLASS_COLUMNS = (NAME, Column("DriverName", description="The CSI driver that it is for."), AGE)

DRIVER_COLUMNS = (
    NAME,
    Column("AttachRequired", "boolean", description="Whether volumes are attached before they are mounted."),
    Column("PodInfoOnMount", "boolean", description="Whether the driver is told about the pod."),
    Column("StorageCapacity", "boolean", description="Whether the driver reports its capacity."),
    Column("TokenRequests", description="Audiences of the tokens that the driver needs."),
    Column("RequiresRepublish", "boolean", description="Whether volumes are published again and again."),
    Column("Modes", description="Kinds of volumes that the driver has."),
    AGE,
)

NODE_COLUMNS = (NAME, Column("Drivers", "integer", description="The number of drivers on the node."), AGE)

CAPACITY_COLUMNS = (
    NAME,
    Column("StorageClassName", description="The storage class that the capacity is of."),
    Column("Capacity", description="How much is left."),
)

ATTACHMENT_COLUMNS = (
    NAME,
    Column("Attacher", "string", "name", description="The driver that has to attach it."),
    Column("PV", description="The volume."),
    Column("Node", description="The node that it is to be attached to."),
    Column("Attached", "boolean", description="Whether it is attached."),
    AGE,
)


def class_of(obj: Object) -> str:
    """The storage class of a volume or claim, by its annotation of old where there is one."""
    annotation = obj["metadata"].get("annotations", {}).get(CLASS_ANNOTATION)
    return str(annotation if annotation is not None else obj.get("spec", {}).get("storageClassName", ""))


def modes_text(modes: Iterable[str]) -> str:
    """Access modes as they are abbreviated: "RWO,ROX"."""
    found = set(modes)
    return ",".join(short for name, short in MODES.items() if name in found)


def volume_row(obj: Object, now: float) -> list[Any]:
    """The cells of one PersistentVolume."""
    spec, status, claim = obj.get("spec", {}), obj.get("status", {}), obj.get("spec", {}).get("claimRef")
    return [
        obj["metadata"]["name"],
        spec.get("capacity", {}).get("storage", "0"),
        modes_text(spec.get("accessModes", ())),
        spec.get("persistentVolumeReclaimPolicy", ""),
        _phase(obj),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim else "",
        class_of(obj),
        spec.get("volumeAttributesClassName") or UNSET,
        status.get("reason", ""),
        age(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


def claim_row(obj: Object, now: float) -> list[Any]:
    """The cells of one PersistentVolumeClaim."""
    spec, status = obj.get("spec", {}), obj.get("status", {})
    bound = bool(spec.get("volumeName"))
    return [
        obj["metadata"]["name"],
        _phase(obj),
        spec.get("volumeName", ""),
        status.get("capacity", {}).get("storage", "0") if bound else "",
        modes_text(status.get("accessModes", ())) if bound else "",
        class_of(obj),
        spec.get("volumeAttributesClassName") or UNSET,
        age(obj, now),
        spec.get("volumeMode") or UNSET,
    ]


def _phase(obj: Object) -> str:
    return "Terminating" if "deletionTimestamp" in obj["metadata"] else str(obj.get("status", {}).get("phase", ""))


def is_default_class(obj: Object) -> bool:
    """Whether claims that name no class get this one."""
    annotations = obj["metadata"].get("annotations", {})
    return "true" in (annotations.get(DEFAULT_CLASS), annotations.get(BETA_DEFAULT_CLASS))


def class_row(obj: Object, now: float) -> list[Any]:
    """The cells of one StorageClass."""
    name = obj["metadata"]["name"]
    return [
        f"{name} (default)" if is_default_class(obj) else name,
        obj.get("provisioner", ""),
        obj.get("reclaimPolicy", "Delete"),
        obj.get("volumeBindingMode") or UNSET,
        obj.get("allowVolumeExpansion", False),
        age(obj, now),
    ]


def attributes_class_row(obj: Object, now: float) -> list[Any]:
    """The cells of one VolumeAttributesClass."""
    return [obj["metadata"]["name"], obj.get("driverName", ""), age(obj, now)]


def driver_row(obj: Object, now: float) -> list[Any]:
    """The cells of one CSIDriver."""
    spec = obj.get("spec", {})
    audiences = [one.get("audience", "") for one in spec.get("tokenRequests", ())]
    return [
        obj["metadata"]["name"],
        spec.get("attachRequired", True),
        spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False),
        ",".join(audiences) if "tokenRequests" in spec else UNSET,
        spec.get("requiresRepublish", False),
        ",".join(spec.get("volumeLifecycleModes", ())) or NONE,
        age(obj, now),
    ]


def node_row(obj: Object, now: float) -> list[Any]:
    """The cells of one CSINode."""
    return [obj["metadata"]["name"], len(obj.get("spec", {}).get("drivers", ())), age(obj, now)]


def capacity_row(obj: Object, now: float) -> list[Any]:
    """The cells of one CSIStorageCapacity."""
    return [obj["metadata"]["name"], obj.get("storageClassName", ""), obj.get("capacity", UNSET)]


def attachment_row(obj: Object, now: float) -> list[Any]:
    """The cells of one VolumeAttachment."""
    spec = obj.get("spec", {})
    return [
        obj["metadata"]["name"],
        spec.get("attacher", ""),
        spec.get("source", {}).get("persistentVolumeName", ""),
        spec.get("nodeName", ""),
        obj.get("status", {}).get("attached", False),
        age(obj, now),
    ]
