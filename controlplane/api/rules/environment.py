"""Environment variables of containers: defaults and validation."""

from __future__ import annotations

import re
from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, invalid_each, not_supported, required

Fields = dict[str, Any]

FIELD_PATHS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
RESOURCES = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_SUBSCRIPTED = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")
_ONE_OF = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")


def default_env(variables: list[Fields]) -> None:
    """Fills in the apiVersion of field references."""
    for variable in variables:
        source = variable.get("valueFrom")
        if source is not None and "fieldRef" in source:
            source["fieldRef"].setdefault("apiVersion", "v1")


def validate_env(variables: list[Fields], path: str) -> list[FieldError]:
    """Every error in `env`."""
    errors: list[FieldError] = []
    for index, variable in enumerate(variables):
        name = variable.get("name")
        if not name:
            errors.append(required(f"{path}[{index}].name"))
        else:
            errors += invalid_each(f"{path}[{index}].name", name, names.env_name(name))
        if "valueFrom" in variable:
            errors += _validate_source(variable, f"{path}[{index}].valueFrom")
    return errors


def validate_env_from(sources: list[Fields], path: str) -> list[FieldError]:
    """Every error in `envFrom`."""
    errors: list[FieldError] = []
    for index, source in enumerate(sources):
        inner = f"{path}[{index}]"
        if source.get("prefix"):
            errors += invalid_each(f"{inner}.prefix", source["prefix"], names.env_name(source["prefix"]))
        found = [name for name in ("configMapRef", "secretRef") if name in source]
        for name in found:
            errors += _validate_reference(source[name], f"{inner}.{name}", key=False)
        if not found:
            errors.append(invalid(path, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(found) > 1:
            errors.append(invalid(path, "", "may not have more than one field specified at a time"))
    return errors


def _validate_source(variable: Fields, path: str) -> list[FieldError]:
    source = variable["valueFrom"]
    errors: list[FieldError] = []
    found = [name for name in _SOURCES if name in source]
    if "fieldRef" in source:
        errors += validate_field_reference(source["fieldRef"], f"{path}.fieldRef", FIELD_PATHS)
    if "resourceFieldRef" in source:
        errors += _validate_resource(source["resourceFieldRef"], f"{path}.resourceFieldRef")
    for name in ("configMapKeyRef", "secretKeyRef"):
        if name in source:
            errors += _validate_reference(source[name], f"{path}.{name}", key=True)
    if not found:
        errors.append(invalid(path, "", _ONE_OF))
    elif variable.get("value"):
        errors.append(invalid(path, "", "may not be specified when `value` is not empty"))
    elif len(found) > 1:
        errors.append(invalid(path, "", "may not have more than one field specified at a time"))
    return errors


def validate_field_reference(reference: Fields, path: str, allowed: tuple[str, ...]) -> list[FieldError]:
    """Every error in a reference to a field of the pod; `allowed` are those without a subscript."""
    if not reference.get("apiVersion"):
        return [required(f"{path}.apiVersion")]
    field = reference.get("fieldPath")
    if not field:
        return [required(f"{path}.fieldPath")]
    subscripted = _SUBSCRIPTED.fullmatch(field)
    if subscripted:
        key = subscripted[2].lower() if subscripted[1] == "annotations" else subscripted[2]
        return invalid_each(path, subscripted[2], names.label_key(key))
    return [] if field in allowed else [not_supported(f"{path}.fieldPath", field, allowed)]


def _validate_resource(reference: Fields, path: str) -> list[FieldError]:
    resource = reference.get("resource")
    if not resource:
        return [required(f"{path}.resource")]
    if resource not in RESOURCES and "hugepages-" not in resource:
        return [not_supported(f"{path}.resource", resource, RESOURCES)]
    return []


def _validate_reference(reference: Fields, path: str, *, key: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    name = reference.get("name", "")
    if not name and not key:
        errors.append(required(f"{path}.name"))
    else:
        errors += invalid_each(f"{path}.name", name, names.dns1123_subdomain(name))
    if key and not reference.get("key"):
        errors.append(required(f"{path}.key"))
    elif key:
        errors += invalid_each(f"{path}.key", reference["key"], names.config_key(reference["key"]))
    return errors
