"""ResourceClaims and ResourceClaimTemplates."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.rules.devices import default_requests, validate_claim
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings


def _default(obj: Object) -> None:
    default_requests(obj.setdefault("spec", {}).get("devices", {}))


def _default_template(obj: Object) -> None:
    _default(obj.setdefault("spec", {}))


def _rules(obj: Object) -> list[FieldError]:
    return validate_claim(obj["spec"].get("devices", {}), "spec.devices")


def _template_rules(obj: Object) -> list[FieldError]:
    return validate_claim(obj["spec"]["spec"].get("devices", {}), "spec.spec.devices")


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    return errors if new["spec"] == old["spec"] else [*errors, invalid("spec", new["spec"], IMMUTABLE)]


RESOURCE_CLAIM = Kind(
    group="resource.k8s.io",
    version="v1",
    name="ResourceClaim",
    plural="resourceclaims",
    definition="io.k8s.api.resource.v1.ResourceClaim",
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=_validate_update,
        warnings=kind_warnings,
        columns=devices.CLAIM_COLUMNS,
        row=devices.claim_row,
    ),
)

RESOURCE_CLAIM_TEMPLATE = Kind(
    group="resource.k8s.io",
    version="v1",
    name="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    definition="io.k8s.api.resource.v1.ResourceClaimTemplate",
    strategy=Strategy(
        default=_default_template,
        validate=lifecycle.checked(names.dns1123_subdomain, _template_rules),
        validate_update=_validate_update,
        warnings=kind_warnings,
        columns=devices.NAMED_COLUMNS,
        row=devices.named_row,
    ),
)
