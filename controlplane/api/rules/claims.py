"""Specs of PersistentVolumeClaims, in claims themselves and in templates: defaults and validation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api import names, quantity
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, invalid_each, not_supported, required
from controlplane.api.rules.difference import difference
from controlplane.api.rules.numbers import positive_quantity, whole_quantity
from controlplane.api.selectors import validate_selector
from controlplane.api.types import Object

Fields = dict[str, Any]

ACCESS_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
VOLUME_MODES = ("Block", "Filesystem")
_CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_IMMUTABLE = (
    "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n"
)


def default_claim_spec(spec: Fields) -> None:
    """Fills in what the spec of a claim does not say."""
    spec.setdefault("volumeMode", "Filesystem")


def settle_sources(spec: Fields) -> None:
    """`dataSource` and `dataSourceRef` say the same, unless the second names another namespace."""
    if "dataSource" in spec and "dataSourceRef" not in spec:
        spec["dataSourceRef"] = dict(spec["dataSource"])
    elif "dataSourceRef" in spec and "dataSource" not in spec and not spec["dataSourceRef"].get("namespace"):
        spec["dataSource"] = {key: value for key, value in spec["dataSourceRef"].items() if key != "namespace"}


def validate_access_modes(modes: Sequence[str], path: str) -> list[FieldError]:
    """Every error in the access modes of a claim or volume; that there are some is for the caller to see to."""
    errors = [not_supported(path, mode, ACCESS_MODES) for mode in modes if mode not in ACCESS_MODES]
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        errors.append(forbidden(path, "may not use ReadWriteOncePod with other access modes"))
    return errors


def validate_claim_spec(spec: Fields, path: str) -> list[FieldError]:
    """Every error in the spec of a claim."""
    modes = spec.get("accessModes", ())
    errors = [] if modes else [required(f"{path}.accessModes", "at least 1 access mode is required")]
    if "selector" in spec:
        errors += validate_selector(spec["selector"], f"{path}.selector")
    errors += validate_access_modes(modes, f"{path}.accessModes")
    size = spec.get("resources", {}).get("requests", {}).get("storage")
    place = f"{path}.resources[storage]"
    if size is None:
        errors.append(required(place))
    else:
        errors += positive_quantity(size, place) or whole_quantity(size, place)
    for name in ("storageClassName", "volumeAttributesClassName"):
        if spec.get(name):
            errors += invalid_each(f"{path}.{name}", spec[name], names.dns1123_subdomain(spec[name]))
    if spec["volumeMode"] not in VOLUME_MODES:
        errors.append(not_supported(f"{path}.volumeMode", spec["volumeMode"], VOLUME_MODES))
    for name in ("dataSource", "dataSourceRef"):
        if name in spec:
            errors += _validate_source(spec[name], f"{path}.{name}")
    return errors


def _validate_source(source: Fields, path: str) -> list[FieldError]:
    errors = [required(f"{path}.{name}") for name in ("name", "kind") if not source.get(name)]
    group, kind = source.get("apiGroup", ""), source.get("kind", "")
    if not group and kind != "PersistentVolumeClaim":
        text = "must be 'PersistentVolumeClaim' when referencing the default apiGroup"
        errors.append(invalid(path, kind, text))
    if group:
        errors += invalid_each(f"{path}.apiGroup", group, names.dns1123_subdomain(group))
    return errors


def validate_claim_update(new: Object, old: Object) -> list[FieldError]:
    """What an update of a claim may change: its volume once, its size and attributes class when it is bound."""
    spec, before = dict(new["spec"]), dict(old["spec"])
    if not before.get("volumeName"):
        _take(before, spec, "volumeName")
    if _class_is_given_later(new, old):
        _take(before, spec, "storageClassName")
    size, size_before = _size(spec), _size(before)
    if old.get("status", {}).get("phase") == "Bound":
        if size is not None:
            before["resources"] = before.get("resources", {}) | {
                "requests": before.get("resources", {}).get("requests", {}) | {"storage": size}
            }
        _take(before, spec, "volumeAttributesClassName")
    if spec != before:
        return [forbidden("spec", _IMMUTABLE + "\n".join(difference(before, spec)))]
    if size is not None and size_before is not None and quantity.nanos(size) < quantity.nanos(size_before):
        has = old.get("status", {}).get("capacity", {}).get("storage")
        if has is None or quantity.nanos(size) <= quantity.nanos(has):
            text = "field can not be less than status.capacity"
            return [forbidden("spec.resources.requests.storage", text)]
    return []


def _class_is_given_later(new: Object, old: Object) -> bool:
    annotated = _CLASS_ANNOTATION in old["metadata"].get("annotations", {})
    return "storageClassName" not in old["spec"] and not annotated and bool(new["spec"].get("storageClassName"))


def _take(target: Fields, source: Fields, name: str) -> None:
    if name in source:
        target[name] = source[name]
    else:
        target.pop(name, None)


def _size(spec: Fields) -> str | None:
    size: str | None = spec.get("resources", {}).get("requests", {}).get("storage")
    return size
