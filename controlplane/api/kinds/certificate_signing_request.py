"""CertificateSigningRequests. Who asks is entered by admission, which knows the caller."""

from __future__ import annotations

from controlplane.api import meta
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid
from controlplane.api.printing import certificates
from controlplane.api.rules import lifecycle
from controlplane.api.rules.certificates import (
    APPROVED,
    DENIED,
    FAILED,
    stamp_conditions,
    validate_conditions,
    validate_kept,
    validate_request_spec,
)
from controlplane.api.types import Kind, Object, Part, Strategy


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})


def _prepare_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "spec", "status")


def _prepare_status_update(new: Object, old: Object) -> None:
    """The decision is for /approval alone."""
    lifecycle.update_status(new, old)
    decided = (APPROVED, DENIED)
    status = new.setdefault("status", {})
    kept = [one for one in old.get("status", {}).get("conditions", ()) if one.get("type") in decided]
    others = [one for one in status.get("conditions", ()) if one.get("type") not in decided]
    status["conditions"] = [*kept, *others]
    if not status["conditions"]:
        del status["conditions"]
    stamp_conditions(new, old)


def _prepare_approval(new: Object, old: Object) -> None:
    conditions = new.get("status", {}).get("conditions")
    meta.restore(new, old, "spec", "status")
    status = {name: value for name, value in new.get("status", {}).items() if name != "conditions"}
    new["status"] = status | ({"conditions": conditions} if conditions else {})
    stamp_conditions(new, old)


def _rules(obj: Object) -> list[FieldError]:
    return validate_request_spec(obj["spec"])


def _validate_conditions(obj: Object) -> list[FieldError]:
    return validate_conditions(obj.get("status", {}).get("conditions", ()), "status.conditions")


def _validate_approval(new: Object, old: Object) -> list[FieldError]:
    kept = [one for one in validate_kept(new, old, (APPROVED, DENIED, FAILED)) if "remove" in one.body]
    return meta.validate_update(new, old) + _validate_conditions(new) + kept


def _validate_status(new: Object, old: Object) -> list[FieldError]:
    errors = _validate_conditions(new) + [one for one in validate_kept(new, old, (FAILED,)) if "remove" in one.body]
    before, now = (obj.get("status", {}).get("certificate") for obj in (old, new))
    if before and now != before:
        errors.append(invalid("status.certificate", now or "", IMMUTABLE))
    return errors


CERTIFICATE_SIGNING_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    name="CertificateSigningRequest",
    plural="certificatesigningrequests",
    definition="io.k8s.api.certificates.v1.CertificateSigningRequest",
    namespaced=False,
    short_names=("csr",),
    subresources=("approval", "status"),
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.no_status,
        prepare_update=_prepare_update,
        prepare_status_update=_prepare_status_update,
        validate=lifecycle.checked(lambda name: [], _rules, namespaced=False),
        validate_update=meta.validate_update,
        validate_status_update=_validate_status,
        parts={"approval": Part(_prepare_approval, _validate_approval)},
        fields=lambda obj: {"spec.signerName": obj.get("spec", {}).get("signerName", "")},
        columns=certificates.REQUEST_COLUMNS,
        row=certificates.request_row,
    ),
)
