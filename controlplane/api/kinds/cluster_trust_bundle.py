"""ClusterTrustBundles."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.printing import certificates
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Strategy

CLUSTER_TRUST_BUNDLE = Kind(
    group="certificates.k8s.io",
    version="v1",
    name="ClusterTrustBundle",
    plural="clustertrustbundles",
    definition="io.k8s.api.certificates.v1.ClusterTrustBundle",
    namespaced=False,
    strategy=Strategy(
        validate=lifecycle.checked(names.dns1123_subdomain, lifecycle.nothing, namespaced=False),
        validate_update=meta.validate_update,
        columns=certificates.BUNDLE_COLUMNS,
        row=certificates.bundle_row,
    ),
)
