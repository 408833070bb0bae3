"""ClusterTrustBundles."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, required
from controlplane.api.printing import certificates
from controlplane.api.rules import lifecycle
from controlplane.api.rules.certificates import validate_signer
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings

BEGIN = "-----BEGIN CERTIFICATE-----"


def _rules(obj: Object) -> list[FieldError]:
    spec = obj.get("spec", {})
    signer, bundle, name = spec.get("signerName", ""), spec.get("trustBundle", ""), obj["metadata"].get("name", "")
    errors: list[FieldError] = []
    if signer:
        errors += validate_signer(signer, "spec.signerName")
        prefix = signer.replace("/", ":") + ":"
        if not name.startswith(prefix):
            text = f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"
            errors.append(invalid("metadata.name", name, text))
    elif ":" in name:
        text = 'ClusterTrustBundle without signer name must not have ":" in its name'
        errors.append(invalid("metadata.name", name, text))
    if not bundle:
        errors.append(required("spec.trustBundle", "trust bundle must be set"))
    elif BEGIN not in bundle:
        errors.append(invalid("spec.trustBundle", "<value omitted>", "at least one trust anchor must be provided"))
    return errors


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + _rules(new)
    signer = new.get("spec", {}).get("signerName", "")
    if signer != old.get("spec", {}).get("signerName", ""):
        errors.append(invalid("spec.signerName", signer, IMMUTABLE))
    return errors


CLUSTER_TRUST_BUNDLE = Kind(
    group="certificates.k8s.io",
    version="v1",
    name="ClusterTrustBundle",
    plural="clustertrustbundles",
    definition="io.k8s.api.certificates.v1.ClusterTrustBundle",
    namespaced=False,
    strategy=Strategy(
        validate=lifecycle.checked(
            lambda name: names.dns1123_subdomain(name.rpartition(":")[2]), _rules, namespaced=False
        ),
        validate_update=_validate_update,
        warnings=kind_warnings,
        fields=lambda obj: {"spec.signerName": obj.get("spec", {}).get("signerName", "")},
        columns=certificates.BUNDLE_COLUMNS,
        row=certificates.bundle_row,
    ),
)
