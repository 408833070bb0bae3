"""Where the data of a PersistentVolume is: one source of several kinds, and what each has to say."""

from __future__ import annotations

from typing import Any

from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, not_supported, required
from controlplane.api.rules.volumes import HOST_PATH_TYPES

Fields = dict[str, Any]

SOURCES = (
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
)
"""The fields of the spec that are sources."""

REQUIRED: dict[str, tuple[str, ...]] = {
    "csi": ("driver", "volumeHandle"),
    "flexVolume": ("driver",),
    "hostPath": ("path",),
    "iscsi": ("targetPortal", "iqn"),
    "local": ("path",),
    "nfs": ("server", "path"),
    "rbd": ("monitors", "image"),
}


def source_of(spec: Fields) -> str:
    """The name of the first source of a volume, "" without one."""
    return next((name for name in SOURCES if name in spec), "")


def validate_source(spec: Fields, path: str) -> list[FieldError]:
    """Every error in the source of a volume: there must be one, and only one."""
    found = [name for name in SOURCES if name in spec]
    if not found:
        return [required(path, "must specify a volume type")]
    errors = [forbidden(f"{path}.{name}", "may not specify more than 1 volume type") for name in found[1:]]
    name = found[0]
    inner, source = f"{path}.{name}", spec[name]
    errors += [required(f"{inner}.{one}") for one in REQUIRED.get(name, ()) if not source.get(one)]
    place = source.get("path", "")
    if name in ("hostPath", "local") and ".." in place.split("/"):
        errors.append(invalid(f"{inner}.path", place, "must not contain '..'"))
    if name == "nfs" and place and not place.startswith("/"):
        errors.append(invalid(f"{inner}.path", place, "must be an absolute path"))
    if name == "hostPath" and source.get("type", "") not in HOST_PATH_TYPES:
        errors.append(not_supported(f"{inner}.type", source["type"], HOST_PATH_TYPES))
    return errors
