"""CSIStorageCapacities."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

CSI_STORAGE_CAPACITY = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSIStorageCapacity",
    plural="csistoragecapacities",
    definition="io.k8s.api.storage.v1.CSIStorageCapacity",
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        columns=storage.CAPACITY_COLUMNS,
        row=storage.capacity_row,
    ),
)
