"""PodTemplates."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import quota
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

POD_TEMPLATE = Kind(
    group="",
    version="v1",
    name="PodTemplate",
    plural="podtemplates",
    definition="io.k8s.api.core.v1.PodTemplate",
    strategy=Strategy(
        prepare_create=lifecycle.first_generation,
        prepare_update=lifecycle.bump("template"),
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        columns=quota.POD_TEMPLATE_COLUMNS,
        row=quota.pod_template_row,
    ),
)
