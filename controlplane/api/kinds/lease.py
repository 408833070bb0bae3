"""Leases."""

from __future__ import annotations

from controlplane.api.types import Kind

LEASE = Kind(
    group="coordination.k8s.io",
    version="v1",
    name="Lease",
    plural="leases",
    definition="io.k8s.api.coordination.v1.Lease",
)
