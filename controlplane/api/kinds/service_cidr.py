"""ServiceCIDRs."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

SERVICE_CIDR = Kind(
    group="networking.k8s.io",
    version="v1",
    name="ServiceCIDR",
    plural="servicecidrs",
    definition="io.k8s.api.networking.v1.ServiceCIDR",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=ingress.SERVICE_CIDR_COLUMNS,
        row=ingress.service_cidr_row,
    ),
)
