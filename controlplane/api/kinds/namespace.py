"""Namespaces."""

from __future__ import annotations

from controlplane.api.types import Kind

NAMESPACE = Kind(
    group="",
    version="v1",
    name="Namespace",
    plural="namespaces",
    definition="io.k8s.api.core.v1.Namespace",
    namespaced=False,
    short_names=("ns",),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
    subresources=("finalize", "status"),
)
