"""CSINodes."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

CSI_NODE = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSINode",
    plural="csinodes",
    definition="io.k8s.api.storage.v1.CSINode",
    namespaced=False,
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=storage.NODE_COLUMNS,
        row=storage.node_row,
    ),
)
