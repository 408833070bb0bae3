"""APIServices."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import extensions
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

API_SERVICE = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    name="APIService",
    plural="apiservices",
    definition="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    namespaced=False,
    categories=("api-extensions",),
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=extensions.API_SERVICE_COLUMNS,
        row=extensions.api_service_row,
    ),
)
