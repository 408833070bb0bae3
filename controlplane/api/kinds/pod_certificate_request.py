"""PodCertificateRequests."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, required
from controlplane.api.printing import certificates
from controlplane.api.rules import lifecycle
from controlplane.api.rules.certificates import validate_conditions, validate_signer
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings

REQUIRED = (
    "podName",
    "podUID",
    "serviceAccountName",
    "serviceAccountUID",
    "nodeName",
    "nodeUID",
    "stubPKCS10Request",
)
SHORTEST_SECONDS, LONGEST_SECONDS = 3600, 91 * 86400


def _default(obj: Object) -> None:
    obj.setdefault("spec", {}).setdefault("maxExpirationSeconds", 86400)


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors = validate_signer(spec.get("signerName", ""), "spec.signerName")
    errors += [required(f"spec.{name}") for name in REQUIRED if not spec.get(name)]
    seconds = spec["maxExpirationSeconds"]
    if not SHORTEST_SECONDS <= seconds <= LONGEST_SECONDS:
        text = f"must be in the range [{SHORTEST_SECONDS}, {LONGEST_SECONDS}]"
        errors.append(invalid("spec.maxExpirationSeconds", seconds, text))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    return errors if new["spec"] == old["spec"] else [*errors, invalid("spec", new["spec"], IMMUTABLE)]


def _validate_status(new: Object, _old: Object) -> list[FieldError]:
    return validate_conditions(new.get("status", {}).get("conditions", ()), "status.conditions")


POD_CERTIFICATE_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    name="PodCertificateRequest",
    plural="podcertificaterequests",
    definition="io.k8s.api.certificates.v1.PodCertificateRequest",
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=_validate_update,
        validate_status_update=_validate_status,
        warnings=kind_warnings,
        columns=certificates.POD_REQUEST_COLUMNS,
        row=certificates.pod_request_row,
    ),
)
