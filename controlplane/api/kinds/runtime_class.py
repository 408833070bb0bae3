"""RuntimeClasses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import devices
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

RUNTIME_CLASS = Kind(
    group="node.k8s.io",
    version="v1",
    name="RuntimeClass",
    plural="runtimeclasses",
    definition="io.k8s.api.node.v1.RuntimeClass",
    namespaced=False,
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=devices.RUNTIME_CLASS_COLUMNS,
        row=devices.runtime_class_row,
    ),
)
