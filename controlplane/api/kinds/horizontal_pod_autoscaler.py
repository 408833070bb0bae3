"""HorizontalPodAutoscalers."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import autoscaling
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

HORIZONTAL_POD_AUTOSCALER = Kind(
    group="autoscaling",
    version="v2",
    name="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    definition="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        columns=autoscaling.AUTOSCALER_COLUMNS,
        row=autoscaling.autoscaler_row,
    ),
)
