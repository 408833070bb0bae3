"""ResourceSlices."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy
from controlplane.api.unsupported import kind_warnings

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
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        warnings=kind_warnings,
        columns=devices.SLICE_COLUMNS,
        row=devices.slice_row,
    ),
)
