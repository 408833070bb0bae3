"""DeviceTaintRules."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy
from controlplane.api.unsupported import kind_warnings

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
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        warnings=kind_warnings,
        columns=devices.NAMED_COLUMNS,
        row=devices.named_row,
    ),
)
