"""ResourceSlices."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.rules.devices import validate_slice
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings


def _rules(obj: Object) -> list[FieldError]:
    return validate_slice(obj.get("spec", {}), "spec")


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + _rules(new)
    for name in ("driver", "nodeName"):
        now, before = (one.get("spec", {}).get(name) for one in (new, old))
        if now != before:
            errors.append(invalid(f"spec.{name}", now, IMMUTABLE))
    return errors


RESOURCE_SLICE = Kind(
    group="resource.k8s.io",
    version="v1",
    name="ResourceSlice",
    plural="resourceslices",
    definition="io.k8s.api.resource.v1.ResourceSlice",
    namespaced=False,
    strategy=Strategy(
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("spec"),
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        fields=lambda obj: {f"spec.{name}": obj.get("spec", {}).get(name, "") for name in ("driver", "nodeName")},
        warnings=kind_warnings,
        columns=devices.SLICE_COLUMNS,
        row=devices.slice_row,
    ),
)
