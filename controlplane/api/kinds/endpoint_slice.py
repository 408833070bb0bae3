"""EndpointSlices: the addresses behind a Service."""

from __future__ import annotations

from controlplane.api.types import Kind

ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io",
    version="v1",
    name="EndpointSlice",
    plural="endpointslices",
    definition="io.k8s.api.discovery.v1.EndpointSlice",
)
