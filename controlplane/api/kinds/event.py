"""Events."""

from __future__ import annotations

from controlplane.api.types import Kind

EVENT = Kind(
    group="",
    version="v1",
    name="Event",
    plural="events",
    definition="io.k8s.api.core.v1.Event",
    short_names=("ev",),
)
