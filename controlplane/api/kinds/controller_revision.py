"""ControllerRevisions: immutable snapshots that controllers keep for rollbacks."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, required
from controlplane.api.printing import workloads
from controlplane.api.types import Kind, Object, Strategy


def _validate(obj: Object) -> list[FieldError]:
    errors = meta.validate(obj, names.dns1123_subdomain)
    if "data" not in obj:
        errors.append(required("data", "data is mandatory"))
    if obj.get("revision", 0) < 0:
        errors.append(invalid("revision", obj["revision"], names.NON_NEGATIVE))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new.get("data") != old.get("data"):
        errors.append(invalid("data", new.get("data"), IMMUTABLE))
    return errors


CONTROLLER_REVISION = Kind(
    group="apps",
    version="v1",
    name="ControllerRevision",
    plural="controllerrevisions",
    definition="io.k8s.api.apps.v1.ControllerRevision",
    strategy=Strategy(
        validate=_validate,
        validate_update=_validate_update,
        columns=workloads.REVISION_COLUMNS,
        row=workloads.revision_row,
    ),
)
