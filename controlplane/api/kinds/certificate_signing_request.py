"""CertificateSigningRequests."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import certificates
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

CERTIFICATE_SIGNING_REQUEST = Kind(
    group="certificates.k8s.io",
    version="v1",
    name="CertificateSigningRequest",
    plural="certificatesigningrequests",
    definition="io.k8s.api.certificates.v1.CertificateSigningRequest",
    namespaced=False,
    short_names=("csr",),
    subresources=("approval", "status"),
    strategy=Strategy(
        prepare_create=lifecycle.no_status,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=certificates.REQUEST_COLUMNS,
        row=certificates.request_row,
    ),
)
