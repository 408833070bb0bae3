"""PersistentVolumeClaims."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.rules.claims import (
    default_claim_spec,
    settle_sources,
    validate_claim_spec,
    validate_claim_update,
)
from controlplane.api.rules.numbers import whole_quantity
from controlplane.api.types import Kind, Object, Strategy


def _default(obj: Object) -> None:
    default_claim_spec(obj.setdefault("spec", {}))
    status = obj.setdefault("status", {})
    if not status.get("phase"):
        status["phase"] = "Pending"


def _prepare_create(obj: Object) -> None:
    obj["status"] = {"phase": "Pending"}
    settle_sources(obj["spec"])


def _prepare_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "status")
    settle_sources(new["spec"])


def _rules(obj: Object) -> list[FieldError]:
    return validate_claim_spec(obj["spec"], "spec")


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new["spec"] == old["spec"]:
        return errors
    errors += _rules(new) + validate_claim_update(new, old)
    if new["spec"]["volumeMode"] != old["spec"].get("volumeMode"):
        errors.append(invalid("volumeMode", new["spec"]["volumeMode"], IMMUTABLE))
    return errors


def _validate_status(new: Object, _old: Object) -> list[FieldError]:
    status = new.get("status", {})
    errors: list[FieldError] = []
    for part in ("capacity", "allocatedResources"):
        for name, value in status.get(part, {}).items():
            errors += whole_quantity(value, f"status.{part}[{name}]")
    return errors


PERSISTENT_VOLUME_CLAIM = Kind(
    group="",
    version="v1",
    name="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    definition="io.k8s.api.core.v1.PersistentVolumeClaim",
    short_names=("pvc",),
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=_prepare_update,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=_validate_update,
        validate_status_update=_validate_status,
        columns=storage.CLAIM_COLUMNS,
        row=storage.claim_row,
    ),
)
