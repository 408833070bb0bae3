"""NetworkPolicies."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

NETWORK_POLICY = Kind(
    group="networking.k8s.io",
    version="v1",
    name="NetworkPolicy",
    plural="networkpolicies",
    definition="io.k8s.api.networking.v1.NetworkPolicy",
    short_names=("netpol",),
    strategy=Strategy(
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("spec"),
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        columns=ingress.POLICY_COLUMNS,
        row=ingress.policy_row,
    ),
)
