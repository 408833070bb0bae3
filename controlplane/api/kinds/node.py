"""Nodes."""

from __future__ import annotations

from controlplane.api.types import Kind

NODE = Kind(
    group="",
    version="v1",
    name="Node",
    plural="nodes",
    definition="io.k8s.api.core.v1.Node",
    namespaced=False,
    short_names=("no",),
    subresources=("status",),
)
