"""DeviceClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy
from controlplane.api.unsupported import kind_warnings

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
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        warnings=kind_warnings,
        columns=devices.NAMED_COLUMNS,
        row=devices.named_row,
    ),
)
