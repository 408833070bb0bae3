"""Ingresses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

INGRESS = Kind(
    group="networking.k8s.io",
    version="v1",
    name="Ingress",
    plural="ingresses",
    definition="io.k8s.api.networking.v1.Ingress",
    short_names=("ing",),
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.new_spec,
        prepare_update=lifecycle.update_spec,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        columns=ingress.INGRESS_COLUMNS,
        row=ingress.ingress_row,
    ),
)
