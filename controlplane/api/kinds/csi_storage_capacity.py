"""CSIStorageCapacities."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, invalid_each, required
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.rules.numbers import whole_quantity
from controlplane.api.selectors import validate_selector
from controlplane.api.types import Kind, Object, Strategy


def _rules(obj: Object) -> list[FieldError]:
    name = obj.get("storageClassName", "")
    errors = (
        invalid_each("storageClassName", name, names.dns1123_subdomain(name))
        if name
        else [required("storageClassName")]
    )
    for field in ("capacity", "maximumVolumeSize"):
        if field in obj:
            errors += whole_quantity(obj[field], field)
    if "nodeTopology" in obj:
        errors += validate_selector(obj["nodeTopology"], "nodeTopology")
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + _rules(new)
    return errors + [
        invalid(name, new.get(name), IMMUTABLE)
        for name in ("nodeTopology", "storageClassName")
        if new.get(name) != old.get(name)
    ]


CSI_STORAGE_CAPACITY = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSIStorageCapacity",
    plural="csistoragecapacities",
    definition="io.k8s.api.storage.v1.CSIStorageCapacity",
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=_validate_update,
        columns=storage.CAPACITY_COLUMNS,
        row=storage.capacity_row,
    ),
)
