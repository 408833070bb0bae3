"""IngressClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

INGRESS_CLASS = Kind(
    group="networking.k8s.io",
    version="v1",
    name="IngressClass",
    plural="ingressclasses",
    definition="io.k8s.api.networking.v1.IngressClass",
    namespaced=False,
    strategy=Strategy(
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("spec"),
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=ingress.INGRESS_CLASS_COLUMNS,
        row=ingress.ingress_class_row,
    ),
)
