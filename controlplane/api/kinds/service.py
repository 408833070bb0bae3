"""Services."""

from __future__ import annotations

from controlplane.api.types import Kind

SERVICE = Kind(
    group="",
    version="v1",
    name="Service",
    plural="services",
    definition="io.k8s.api.core.v1.Service",
    short_names=("svc",),
    categories=("all",),
    subresources=("status",),
)
