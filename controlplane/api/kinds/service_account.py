"""ServiceAccounts, and the request for a token of one."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid
from controlplane.api.printing import data
from controlplane.api.types import Kind, Object, Strategy

SHORTEST_SECONDS = 600
LONGEST_SECONDS = 1 << 32


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain)


def _default_request(obj: Object) -> None:
    obj.setdefault("spec", {}).setdefault("expirationSeconds", 3600)


def _validate_request(obj: Object) -> list[FieldError]:
    seconds = obj["spec"]["expirationSeconds"]
    if seconds < SHORTEST_SECONDS:
        return [invalid("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes")]
    if seconds > LONGEST_SECONDS:
        return [invalid("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds")]
    return []


SERVICE_ACCOUNT = Kind(
    group="",
    version="v1",
    name="ServiceAccount",
    plural="serviceaccounts",
    definition="io.k8s.api.core.v1.ServiceAccount",
    short_names=("sa",),
    subresources=("token",),
    strategy=Strategy(
        validate=_validate,
        validate_update=meta.validate_update,
        columns=data.SERVICE_ACCOUNT_COLUMNS,
        row=data.service_account_row,
    ),
)

TOKEN_REQUEST = Kind(
    group="authentication.k8s.io",
    version="v1",
    name="TokenRequest",
    plural="tokenrequests",
    definition="io.k8s.api.authentication.v1.TokenRequest",
    verbs=("create",),
    strategy=Strategy(default=_default_request, validate=_validate_request),
)
