"""ConfigMaps."""

from __future__ import annotations

from controlplane.api.types import Kind

CONFIG_MAP = Kind(
    group="",
    version="v1",
    name="ConfigMap",
    plural="configmaps",
    definition="io.k8s.api.core.v1.ConfigMap",
    short_names=("cm",),
)
