"""ServiceAccounts, and the request for a token of one."""

from __future__ import annotations

from controlplane.api.types import Kind

SERVICE_ACCOUNT = Kind(
    group="",
    version="v1",
    name="ServiceAccount",
    plural="serviceaccounts",
    definition="io.k8s.api.core.v1.ServiceAccount",
    short_names=("sa",),
    subresources=("token",),
)

TOKEN_REQUEST = Kind(
    group="authentication.k8s.io",
    version="v1",
    name="TokenRequest",
    plural="tokenrequests",
    definition="io.k8s.api.authentication.v1.TokenRequest",
    verbs=("create",),
)
