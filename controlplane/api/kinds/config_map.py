"""ConfigMaps."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, invalid_each, too_long
from controlplane.api.printing import data
from controlplane.api.types import Kind, Object, Strategy

LARGEST = 1024 * 1024


def _validate_data(obj: Object) -> list[FieldError]:
    data, binary = obj.get("data", {}), obj.get("binaryData", {})
    errors: list[FieldError] = []
    for key in data:
        errors += invalid_each(f"data[{key}]", key, names.config_key(key))
        if key in binary:
            errors.append(invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    for key in binary:
        errors += invalid_each(f"binaryData[{key}]", key, names.config_key(key))
    size = sum(len(value.encode()) for value in data.values()) + sum(len(value) * 3 // 4 for value in binary.values())
    if size > LARGEST:
        errors.append(too_long("[]", LARGEST))
    return errors


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain) + _validate_data(obj)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    return meta.validate_update(new, old) + validate_frozen(new, old, "data", "binaryData") + _validate_data(new)


def validate_frozen(new: Object, old: Object, *fields: str) -> list[FieldError]:
    """Errors for changes of a ConfigMap or Secret that says it is immutable."""
    if not old.get("immutable"):
        return []
    text = "field is immutable when `immutable` is set"
    errors = [] if new.get("immutable") else [forbidden("immutable", text)]
    return errors + [forbidden(name, text) for name in fields if new.get(name) != old.get(name)]


CONFIG_MAP = Kind(
    group="",
    version="v1",
    name="ConfigMap",
    plural="configmaps",
    definition="io.k8s.api.core.v1.ConfigMap",
    short_names=("cm",),
    strategy=Strategy(
        validate=_validate, validate_update=_validate_update, columns=data.CONFIG_MAP_COLUMNS, row=data.config_map_row
    ),
)
