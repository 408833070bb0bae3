"""Leases."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid
from controlplane.api.printing import cluster
from controlplane.api.types import Kind, Object, Strategy


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})


def _validate_spec(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    seconds = spec.get("leaseDurationSeconds")
    if seconds is not None and seconds <= 0:
        errors.append(invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    changes = spec.get("leaseTransitions")
    if changes is not None and changes < 0:
        errors.append(invalid("spec.leaseTransitions", changes, names.NON_NEGATIVE))
    return errors


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain) + _validate_spec(obj)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    return meta.validate_update(new, old) + _validate_spec(new)


LEASE = Kind(
    group="coordination.k8s.io",
    version="v1",
    name="Lease",
    plural="leases",
    definition="io.k8s.api.coordination.v1.Lease",
    put_creates=True,
    needs_version=True,
    strategy=Strategy(
        default=_default,
        validate=_validate,
        validate_update=_validate_update,
        columns=cluster.LEASE_COLUMNS,
        row=cluster.lease_row,
    ),
)
