"""DeviceTaintRules."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.rules.devices import validate_driver, validate_taint
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings


def _rules(obj: Object) -> list[FieldError]:
    spec = obj.get("spec", {})
    driver = spec.get("deviceSelector", {}).get("driver")
    errors = validate_driver(driver, "spec.deviceSelector.driver") if driver is not None else []
    return errors + validate_taint(spec.get("taint", {}), "spec.taint")


DEVICE_TAINT_RULE = Kind(
    group="resource.k8s.io",
    version="v1",
    name="DeviceTaintRule",
    plural="devicetaintrules",
    definition="io.k8s.api.resource.v1.DeviceTaintRule",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.new_spec,
        prepare_update=lifecycle.update_spec,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        warnings=kind_warnings,
        columns=devices.NAMED_COLUMNS,
        row=devices.named_row,
    ),
)
