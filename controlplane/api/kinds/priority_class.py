"""PriorityClasses."""

from __future__ import annotations

from controlplane.api.types import Kind

PRIORITY_CLASS = Kind(
    group="scheduling.k8s.io",
    version="v1",
    name="PriorityClass",
    plural="priorityclasses",
    definition="io.k8s.api.scheduling.v1.PriorityClass",
    namespaced=False,
    short_names=("pc",),
)
