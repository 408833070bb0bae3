"""Endpoints, the older form of what EndpointSlices say."""

from __future__ import annotations

from controlplane.api.types import Kind

ENDPOINTS = Kind(
    group="",
    version="v1",
    name="Endpoints",
    plural="endpoints",
    definition="io.k8s.api.core.v1.Endpoints",
    short_names=("ep",),
)
