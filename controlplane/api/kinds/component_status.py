"""ComponentStatuses."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import extensions
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

COMPONENT_STATUS = Kind(
    group="",
    version="v1",
    name="ComponentStatus",
    plural="componentstatuses",
    definition="io.k8s.api.core.v1.ComponentStatus",
    namespaced=False,
    short_names=("cs",),
    deprecation="v1 ComponentStatus is deprecated in v1.19+",
    verbs=("get", "list"),
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=extensions.COMPONENT_STATUS_COLUMNS,
        row=extensions.component_status_row,
    ),
)
