"""LimitRanges."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import quota
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

LIMIT_RANGE = Kind(
    group="",
    version="v1",
    name="LimitRange",
    plural="limitranges",
    definition="io.k8s.api.core.v1.LimitRange",
    short_names=("limits",),
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        columns=quota.LIMIT_RANGE_COLUMNS,
        row=quota.limit_range_row,
    ),
)
