"""IPAddresses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

IP_ADDRESS = Kind(
    group="networking.k8s.io",
    version="v1",
    name="IPAddress",
    plural="ipaddresses",
    definition="io.k8s.api.networking.v1.IPAddress",
    namespaced=False,
    short_names=("ip",),
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=ingress.IP_ADDRESS_COLUMNS,
        row=ingress.ip_address_row,
    ),
)
