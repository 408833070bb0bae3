"""PersistentVolumes."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, forbidden, invalid, invalid_each, not_supported, required
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.rules.claims import VOLUME_MODES, validate_access_modes
from controlplane.api.rules.difference import difference
from controlplane.api.rules.numbers import positive_quantity
from controlplane.api.rules.scheduling import validate_node_selector
from controlplane.api.rules.volume_sources import SOURCES, source_of, validate_source
from controlplane.api.types import Kind, Object, Strategy

RECLAIM_POLICIES = ("Delete", "Recycle", "Retain")


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("persistentVolumeReclaimPolicy"):
        spec["persistentVolumeReclaimPolicy"] = "Retain"
    spec.setdefault("volumeMode", "Filesystem")
    if "hostPath" in spec:
        spec["hostPath"].setdefault("type", "")
    if "claimRef" in spec:
        spec["claimRef"].setdefault("kind", "PersistentVolumeClaim")
        spec["claimRef"].setdefault("apiVersion", "v1")
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"


def _prepare_create(obj: Object) -> None:
    obj["status"] = {"phase": "Pending", "lastPhaseTransitionTime": meta.timestamp()}


def _prepare_status_update(new: Object, old: Object) -> None:
    lifecycle.update_status(new, old)
    status, before = new.setdefault("status", {}), old.get("status", {})
    moved = status.get("phase") != before.get("phase")
    since = before.get("lastPhaseTransitionTime")
    if moved and status.get("lastPhaseTransitionTime") == since:
        status["lastPhaseTransitionTime"] = meta.timestamp()
    elif not moved and since:
        status["lastPhaseTransitionTime"] = since


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    modes = spec.get("accessModes", ())
    errors = [] if modes else [required("spec.accessModes")]
    errors += validate_access_modes(modes, "spec.accessModes")
    errors += _validate_capacity(spec.get("capacity", {}))
    policy = spec["persistentVolumeReclaimPolicy"]
    if policy not in RECLAIM_POLICIES:
        errors.append(not_supported("spec.persistentVolumeReclaimPolicy", policy, RECLAIM_POLICIES))
    affinity = spec.get("nodeAffinity")
    if affinity is not None:
        errors += _validate_affinity(affinity, "spec.nodeAffinity")
    errors += validate_source(spec, "spec")
    if "local" in spec and affinity is None:
        errors.append(required("spec.nodeAffinity", "Local volume requires node affinity"))
    if spec.get("hostPath", {}).get("path") == "/" and policy == "Recycle":
        text = "may not be 'recycle' for a hostPath mount of '/'"
        errors.append(forbidden("spec.persistentVolumeReclaimPolicy", text))
    if spec.get("storageClassName"):
        name = spec["storageClassName"]
        errors += invalid_each("spec.storageClassName", name, names.dns1123_subdomain(name))
    if spec["volumeMode"] not in VOLUME_MODES:
        errors.append(not_supported("spec.volumeMode", spec["volumeMode"], VOLUME_MODES))
    return errors + _validate_attributes_class(spec)


def _validate_capacity(capacity: dict[str, str]) -> list[FieldError]:
    if not capacity:
        return [required("spec.capacity")]
    if list(capacity) != ["storage"]:
        return [not_supported("spec.capacity", capacity, ("storage",))]
    return positive_quantity(capacity["storage"], "spec.capacity[storage]")


def _validate_affinity(affinity: dict[str, Any], path: str) -> list[FieldError]:
    wanted = affinity.get("required")
    if wanted is None:
        return [required(f"{path}.required", "must specify required node constraints")]
    return validate_node_selector(wanted, f"{path}.required")


def _validate_attributes_class(spec: dict[str, Any]) -> list[FieldError]:
    name = spec.get("volumeAttributesClassName")
    if name is None:
        return []
    place = "spec.volumeAttributesClassName"
    if not name:
        return [required(place, "an empty string is disallowed")]
    errors = invalid_each(place, name, names.dns1123_subdomain(name))
    if "csi" not in spec:
        errors.append(required("spec.csi", "has to be specified when using volumeAttributesClassName"))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    spec, before = new["spec"], old["spec"]
    if spec == before:
        return errors
    errors += _rules(new)
    source, source_before = ({name: one[name] for name in SOURCES if name in one} for one in (spec, before))
    if source != source_before and source_of(before):
        text = "spec.persistentvolumesource is immutable after creation\n"
        errors.append(forbidden("spec.persistentvolumesource", text + "\n".join(difference(source_before, source))))
    if spec["volumeMode"] != before.get("volumeMode"):
        errors.append(invalid("volumeMode", spec["volumeMode"], IMMUTABLE))
    if "nodeAffinity" in before and spec.get("nodeAffinity") != before["nodeAffinity"]:
        text = "field is immutable, except for updating from beta label to GA"
        errors.append(invalid("nodeAffinity", spec.get("nodeAffinity"), text))
    return errors


PERSISTENT_VOLUME = Kind(
    group="",
    version="v1",
    name="PersistentVolume",
    plural="persistentvolumes",
    definition="io.k8s.api.core.v1.PersistentVolume",
    namespaced=False,
    short_names=("pv",),
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=_prepare_status_update,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        columns=storage.VOLUME_COLUMNS,
        row=storage.volume_row,
    ),
)
