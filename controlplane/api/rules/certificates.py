"""Requests for certificates: what is in them, who signs, for what use, and what may become of them."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Sequence
from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, forbidden, invalid, not_supported, required
from controlplane.api.meta import timestamp
from controlplane.api.types import Object

Fields = dict[str, Any]

BEGIN, END = b"-----BEGIN CERTIFICATE REQUEST-----", b"-----END CERTIFICATE REQUEST-----"
SHORTEST_SECONDS = 600
APPROVED, DENIED, FAILED = "Approved", "Denied", "Failed"
USAGES = (
    "any",
    "cert sign",
    "client auth",
    "code signing",
    "content commitment",
    "crl sign",
    "data encipherment",
    "decipher only",
    "digital signature",
    "email protection",
    "encipher only",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "key agreement",
    "key encipherment",
    "microsoft sgc",
    "netscape sgc",
    "ocsp signing",
    "s/mime",
    "server auth",
    "signing",
    "timestamping",
)


def validate_request_spec(spec: Fields) -> list[FieldError]:
    """Every error in the spec of a CertificateSigningRequest."""
    errors = validate_request(spec.get("request", ""), "spec.request")
    usages = spec.get("usages", [])
    if not usages:
        errors.append(required("spec.usages"))
    for index, usage in enumerate(usages):
        if usage not in USAGES:
            errors.append(not_supported(f"spec.usages[{index}]", usage, USAGES))
        if usage in usages[:index]:
            errors.append(duplicate(f"spec.usages[{index}]", usage))
    errors += validate_signer(spec.get("signerName", ""), "spec.signerName")
    seconds = spec.get("expirationSeconds")
    if seconds is not None and seconds < SHORTEST_SECONDS:
        text = f"may not specify a duration less than {SHORTEST_SECONDS} seconds (10 minutes)"
        errors.append(invalid("spec.expirationSeconds", seconds, text))
    return errors


def validate_request(encoded: str, path: str) -> list[FieldError]:
    """Whether the bytes are a PEM block with a certificate request (PKCS #10) in it."""
    text = b64decode(encoded)
    if BEGIN not in text or END not in text:
        return [invalid(path, encoded, "PEM block type must be CERTIFICATE REQUEST")]
    from cryptography import x509

    try:
        x509.load_pem_x509_csr(text)
    except ValueError as error:
        return [invalid(path, encoded, str(error))]
    return []


def validate_signer(name: str, path: str) -> list[FieldError]:
    """Every error in the name of a signer: "example.com/name"."""
    if not name:
        return [required(path)]
    domain, _, rest = name.partition("/")
    if not rest or "/" in rest:
        text = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
        return [invalid(path, name, text)]
    errors = [invalid(path, name, f"validating label: {text}") for text in names.dns1123_subdomain(domain)]
    if "." not in domain:
        errors.append(invalid(path, name, "should be a domain with at least two segments separated by dots"))
    return errors + [invalid(path, name, text) for text in names.dns1123_subdomain(rest)]


def validate_conditions(conditions: Sequence[Fields], path: str) -> list[FieldError]:
    """Every error in the conditions of a request: one of a type, and not both approved and denied."""
    errors: list[FieldError] = []
    types: set[str] = set()
    for index, condition in enumerate(conditions):
        place, type_, status = f"{path}[{index}]", condition.get("type", ""), condition.get("status", "")
        if not type_:
            errors.append(required(f"{place}.type"))
        if not status:
            errors.append(required(f"{place}.status"))
        elif type_ in (APPROVED, DENIED, FAILED) and status != "True":
            errors.append(not_supported(f"{place}.status", status, ("True",)))
        elif status not in ("True", "False", "Unknown"):
            errors.append(not_supported(f"{place}.status", status, ("False", "True", "Unknown")))
        other = {APPROVED: DENIED, DENIED: APPROVED}.get(type_)
        if other in types:
            text = "Approved and Denied conditions are mutually exclusive"
            errors.append(invalid(f"{place}.type", type_, text))
        if type_ in types:
            errors.append(duplicate(f"{place}.type", type_))
        types.add(type_)
    return errors


def validate_kept(new: Object, old: Object, types: Sequence[str]) -> list[FieldError]:
    """A condition of these types, once there, stays, and is not added by the way."""
    errors: list[FieldError] = []
    for type_ in types:
        now, before = (has_condition(obj, type_) for obj in (new, old))
        if before and not now:
            errors.append(forbidden("status.conditions", f'updates may not remove a condition of type "{type_}"'))
        elif now and not before:
            errors.append(forbidden("status.conditions", f'updates may not add a condition of type "{type_}"'))
    return errors


def has_condition(obj: Object, type_: str) -> bool:
    """Whether the request has a condition of that type."""
    return any(one.get("type") == type_ for one in obj.get("status", {}).get("conditions", ()))


def stamp_conditions(new: Object, old: Object) -> None:
    """Says when conditions were updated and changed, where the writer did not."""
    before = {one.get("type"): one for one in old.get("status", {}).get("conditions", ())}
    for condition in new.get("status", {}).get("conditions", ()):
        known = before.get(condition.get("type"))
        if not condition.get("lastUpdateTime"):
            condition["lastUpdateTime"] = timestamp()
        if not condition.get("lastTransitionTime"):
            same = known is not None and known.get("status") == condition.get("status")
            then = known.get("lastTransitionTime") if same and known is not None else None
            condition["lastTransitionTime"] = then or timestamp()
