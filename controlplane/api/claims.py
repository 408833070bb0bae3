"""Questions about claims and volumes that controllers, scheduler and node agents all ask; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from controlplane.api.kinds import PERSISTENT_VOLUME_CLAIM
from controlplane.api.quantity import whole
from controlplane.api.types import Object

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
LEGACY_CLASS = "volume.beta.kubernetes.io/storage-class"
DEFAULT_CLASS = "storageclass.kubernetes.io/is-default-class"

BY_CLAIM = "claim"
"""Name of the index of pods by the claims that they use, as "namespace/name"."""

BY_PLACE = "place"
"""Name of the index of VolumeAttachments by "node/volume"."""

BY_OWN_DISK = "own-disk"
"""Name of the index of pods by the disks that they name without a claim, as `own_volume` calls them."""

DISK_DRIVER = "pd.csi.storage.gke.io"
DISK_PROVISIONERS = frozenset({DISK_DRIVER, "kubernetes.io/gce-pd"})
NFS_PROVISIONER = "netsim.io/nfs"
NO_PROVISIONER = "kubernetes.io/no-provisioner"
NFS_SERVER = "nfs.netsim.internal"
"""The server of the volumes that NFS_PROVISIONER makes."""
NODE_ZONE_LABEL = "topology.kubernetes.io/zone"
DRIVER_ZONE_LABEL = "topology.gke.io/zone"

_UNSPECIFIED = "projects/UNSPECIFIED/zones/UNSPECIFIED/disks/"

_DISK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")


def claim_name(pod: Object, volume: dict[str, Any]) -> str | None:
    """The name of the claim behind a volume of a pod, be it asked for by name or made for this pod."""
    if "persistentVolumeClaim" in volume:
        return str(volume["persistentVolumeClaim"].get("claimName", ""))
    if "ephemeral" in volume:
        return f"{pod['metadata']['name']}-{volume['name']}"
    return None


def claims_of(pod: Object) -> Iterator[str]:
    """The names of the claims that a pod uses, in its namespace."""
    for volume in pod["spec"].get("volumes") or ():
        name = claim_name(pod, volume)
        if name:
            yield name


def by_claim(pod: Object) -> Iterable[str]:
    """The index function for BY_CLAIM."""
    namespace = pod["metadata"]["namespace"]
    return {f"{namespace}/{name}" for name in claims_of(pod)}


def by_place(attachment: Object) -> Iterable[str]:
    """The index function for BY_PLACE."""
    return (f"{attachment['spec']['nodeName']}/{attached_volume(attachment)}",)


def by_own_disk(pod: Object) -> Iterable[str]:
    """The index function for BY_OWN_DISK."""
    found = (own_volume(volume) for volume in pod["spec"].get("volumes") or ())
    return {volume["metadata"]["name"] for volume in found if volume is not None}


def index_key(claim: Object) -> str:
    """What pods that use this claim are found by in the index BY_CLAIM."""
    return f"{claim['metadata']['namespace']}/{claim['metadata']['name']}"


def class_of(obj: Object) -> str | None:
    """The storage class of a claim or a volume: "" is none on purpose, None on a claim is for the default to fill."""
    annotated = (obj["metadata"].get("annotations") or {}).get(LEGACY_CLASS)
    if annotated is not None:
        return str(annotated)
    name = obj["spec"].get("storageClassName")
    return None if name is None else str(name)


def is_bound(claim: Object) -> bool:
    """Whether the claim has its volume for good."""
    annotations = claim["metadata"].get("annotations") or {}
    return bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in annotations


def requested(claim: Object) -> int:
    """The bytes that a claim asks for."""
    return whole(((claim["spec"].get("resources") or {}).get("requests") or {}).get("storage", "0"))


def capacity(obj: Object) -> int:
    """The bytes of a volume, by its spec, or of a claim, by its status; 0 where nothing is said."""
    where = obj["spec"] if "claimRef" in obj["spec"] or "capacity" in obj["spec"] else obj.get("status") or {}
    return whole((where.get("capacity") or {}).get("storage", "0"))


def claim_reference(claim: Object) -> dict[str, str]:
    """What a volume's claimRef says of the claim."""
    metadata = claim["metadata"]
    return {
        "apiVersion": PERSISTENT_VOLUME_CLAIM.api_version,
        "kind": PERSISTENT_VOLUME_CLAIM.name,
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
        "resourceVersion": metadata.get("resourceVersion", ""),
    }


def is_made_for(pod: Object, claim: Object) -> bool:
    """Whether the claim is the one that was made for this pod's ephemeral volume, and not one that has its name."""
    references = claim["metadata"].get("ownerReferences") or ()
    return any(one.get("controller") and one["uid"] == pod["metadata"]["uid"] for one in references)


def disk_of(spec: dict[str, Any]) -> str | None:
    """The name of the cloud disk behind a volume's spec, None for a volume of another kind or a name that is none."""
    name = ""
    if "gcePersistentDisk" in spec:
        name = spec["gcePersistentDisk"].get("pdName", "")
    elif (spec.get("csi") or {}).get("driver") == DISK_DRIVER:
        name = spec["csi"].get("volumeHandle", "").rpartition("/")[2]
    return name if _DISK.fullmatch(name) else None


def own_volume(volume: dict[str, Any]) -> Object | None:
    """The PersistentVolume that a disk which a pod names itself is taken for, as upstream's migration has it."""
    source, disk = volume.get("gcePersistentDisk"), disk_of(volume)
    if source is None or disk is None:
        return None
    read_only = bool(source.get("readOnly"))
    spec = {
        "accessModes": ["ReadOnlyMany" if read_only else "ReadWriteOnce"],
        "csi": {
            "driver": DISK_DRIVER,
            "fsType": source.get("fsType") or "ext4",
            "readOnly": read_only,
            "volumeHandle": own_handle(disk),
        },
    }
    return {"metadata": {"name": f"{DISK_DRIVER}-{disk}"}, "spec": spec}


def own_handle(disk: str) -> str:
    """The handle of a disk that no PersistentVolume tells the place of."""
    return f"{_UNSPECIFIED}{disk}"


def attached_volume(attachment: Object) -> str:
    """The name of the volume of a VolumeAttachment; "" if it is none of ours."""
    source = (attachment.get("spec") or {}).get("source") or {}
    own = disk_of(source.get("inlineVolumeSpec") or {})
    return str(source.get("persistentVolumeName") or (f"{DISK_DRIVER}-{own}" if own else ""))


def unique_name(spec: dict[str, Any]) -> str:
    """What a node calls the volume in status.volumesInUse."""
    handle = (spec.get("csi") or {}).get("volumeHandle") or disk_of(spec)
    return f"kubernetes.io/csi/{DISK_DRIVER}^{handle}"


def is_attachable(spec: dict[str, Any]) -> bool:
    """Whether a volume has to be attached to a node before it can be mounted there."""
    return disk_of(spec) is not None
