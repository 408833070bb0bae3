"""ResourceClaims and ResourceClaimTemplates."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy
from controlplane.api.unsupported import kind_warnings

RESOURCE_CLAIM = Kind(
    group="resource.k8s.io",
    version="v1",
    name="ResourceClaim",
    plural="resourceclaims",
    definition="io.k8s.api.resource.v1.ResourceClaim",
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
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
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        warnings=kind_warnings,
        columns=devices.NAMED_COLUMNS,
        row=devices.named_row,
    ),
)
