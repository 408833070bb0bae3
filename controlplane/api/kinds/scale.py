"""Scale: the body of every /scale subresource, not a resource of its own."""

from __future__ import annotations

from controlplane.api.types import Kind

SCALE = Kind(
    group="autoscaling",
    version="v1",
    name="Scale",
    plural="scales",
    definition="io.k8s.api.autoscaling.v1.Scale",
    verbs=("get", "patch", "update"),
)
