"""PersistentVolumeClaims."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import storage
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

PERSISTENT_VOLUME_CLAIM = Kind(
    group="",
    version="v1",
    name="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    definition="io.k8s.api.core.v1.PersistentVolumeClaim",
    short_names=("pvc",),
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        columns=storage.CLAIM_COLUMNS,
        row=storage.claim_row,
    ),
)
