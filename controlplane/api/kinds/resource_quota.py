"""ResourceQuotas."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import quota
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

RESOURCE_QUOTA = Kind(
    group="",
    version="v1",
    name="ResourceQuota",
    plural="resourcequotas",
    definition="io.k8s.api.core.v1.ResourceQuota",
    short_names=("quota",),
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        columns=quota.QUOTA_COLUMNS,
        row=quota.quota_row,
    ),
)
