"""CSIDrivers."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

CSI_DRIVER = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSIDriver",
    plural="csidrivers",
    definition="io.k8s.api.storage.v1.CSIDriver",
    namespaced=False,
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=storage.DRIVER_COLUMNS,
        row=storage.driver_row,
    ),
)
