"""StorageVersionMigrations."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, required
from controlplane.api.printing import extensions
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings


def _rules(obj: Object) -> list[FieldError]:
    resource = obj.get("spec", {}).get("resource", {})
    return [] if resource.get("resource") else [required("spec.resource.resource", "resource is required")]


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    now, before = (one.get("spec", {}).get("resource") for one in (new, old))
    return errors if now == before else [*errors, invalid("spec.resource", now, IMMUTABLE)]


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
        validate=lifecycle.checked(names.dns1123_subdomain, _rules, namespaced=False),
        validate_update=_validate_update,
        warnings=kind_warnings,
        columns=extensions.MIGRATION_COLUMNS,
        row=extensions.migration_row,
    ),
)
