"""DeviceClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.rules.devices import validate_selectors
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings


def _rules(obj: Object) -> list[FieldError]:
    return validate_selectors(obj.get("spec", {}).get("selectors", ()), "spec.selectors")


DEVICE_CLASS = Kind(
    group="resource.k8s.io",
    version="v1",
    name="DeviceClass",
    plural="deviceclasses",
    definition="io.k8s.api.resource.v1.DeviceClass",
    namespaced=False,
    strategy=Strategy(
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("spec"),
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        warnings=kind_warnings,
        columns=devices.NAMED_COLUMNS,
        row=devices.named_row,
    ),
)
