"""StorageVersionMigrations."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import extensions
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy
from controlplane.api.unsupported import kind_warnings

STORAGE_VERSION_MIGRATION = Kind(
    group="storagemigration.k8s.io",
    version="v1",
    name="StorageVersionMigration",
    plural="storageversionmigrations",
    definition="io.k8s.api.storagemigration.v1.StorageVersionMigration",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.new_spec,
        prepare_update=lifecycle.update_spec,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        warnings=kind_warnings,
        columns=extensions.CREATED_COLUMNS,
        row=extensions.created_row,
    ),
)
