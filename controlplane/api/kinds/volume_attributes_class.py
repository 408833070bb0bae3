"""VolumeAttributesClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, required
from controlplane.api.kinds.csi_driver import driver_name
from controlplane.api.kinds.storage_class import validate_parameters
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy


def _rules(obj: Object) -> list[FieldError]:
    errors = driver_name(obj.get("driverName", ""), "driverName")
    parameters = obj.get("parameters", {})
    if not parameters:
        errors.append(required("parameters", "must contain at least one key/value pair"))
    return errors + validate_parameters(parameters)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    return errors + [
        forbidden(name, f"updates to {name} are forbidden.")
        for name in ("driverName", "parameters")
        if new.get(name) != old.get(name)
    ]


VOLUME_ATTRIBUTES_CLASS = Kind(
    group="storage.k8s.io",
    version="v1",
    name="VolumeAttributesClass",
    plural="volumeattributesclasses",
    definition="io.k8s.api.storage.v1.VolumeAttributesClass",
    namespaced=False,
    short_names=("vac",),
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        columns=storage.ATTRIBUTES_CLASS_COLUMNS,
        row=storage.attributes_class_row,
    ),
)
