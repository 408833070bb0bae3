"""PodCertificateRequests."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import certificates
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy
from controlplane.api.unsupported import kind_warnings

POD_CERTIFICATE_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    name="PodCertificateRequest",
    plural="podcertificaterequests",
    definition="io.k8s.api.certificates.v1.PodCertificateRequest",
    subresources=("status",),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing),
        validate_update=meta.validate_update,
        warnings=kind_warnings,
        columns=certificates.POD_REQUEST_COLUMNS,
        row=certificates.pod_request_row,
    ),
)
