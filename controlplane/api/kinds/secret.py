"""Secrets."""

from __future__ import annotations

from base64 import b64encode

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, invalid, invalid_each, required, too_long
from controlplane.api.kinds.config_map import validate_frozen
from controlplane.api.printing import data
from controlplane.api.types import Kind, Object, Strategy

LARGEST = 1024 * 1024
ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"
_ACCOUNT_PATH = f"metadata.annotations[{ACCOUNT_ANNOTATION}]"

REQUIRED_KEYS = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


def _default(obj: Object) -> None:
    obj.setdefault("type", "Opaque")
    if "stringData" in obj:
        encoded = {key: b64encode(value.encode()).decode() for key, value in obj.pop("stringData").items()}
        obj["data"] = obj.get("data", {}) | encoded


def _validate_data(obj: Object) -> list[FieldError]:
    data = obj.get("data", {})
    errors: list[FieldError] = []
    for key in data:
        errors += invalid_each(f"data[{key}]", key, names.config_key(key))
    if sum(len(value) * 3 // 4 for value in data.values()) > LARGEST:
        errors.append(too_long("data", LARGEST))
    if obj["type"] == "kubernetes.io/service-account-token":
        if not obj["metadata"].get("annotations", {}).get(ACCOUNT_ANNOTATION):
            errors.append(required(_ACCOUNT_PATH))
    elif obj["type"] == "kubernetes.io/basic-auth" and "username" not in data and "password" not in data:
        errors += [required("data[username]"), required("data[password]")]
    errors += [required(f"data[{key}]") for key in REQUIRED_KEYS.get(obj["type"], ()) if key not in data]
    return errors


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain) + _validate_data(obj)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new["type"] != old.get("type"):
        errors.append(invalid("type", new["type"], IMMUTABLE))
    return errors + validate_frozen(new, old, "data") + _validate_data(new)


SECRET = Kind(
    group="",
    version="v1",
    name="Secret",
    plural="secrets",
    definition="io.k8s.api.core.v1.Secret",
    strategy=Strategy(
        default=_default,
        validate=_validate,
        validate_update=_validate_update,
        fields=lambda obj: {"type": obj.get("type", "")},
        columns=data.SECRET_COLUMNS,
        row=data.secret_row,
    ),
)
