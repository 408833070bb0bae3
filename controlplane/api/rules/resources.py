"""Resource requests and limits."""

from __future__ import annotations

from typing import Any

from controlplane.api import names, quantity
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, invalid_each

Fields = dict[str, Any]

STANDARD = ("cpu", "memory", "ephemeral-storage")
_NOT_OVERCOMMITTED = "must be equal to {name} limit of {limit}"


def default_requests(container: Fields) -> None:
    """Requests that are not given are the limits. Only for pods, not for templates."""
    resources = container.get("resources")
    if resources and "limits" in resources:
        requests = resources.setdefault("requests", {})
        for name, value in resources["limits"].items():
            requests.setdefault(name, value)


def validate_resources(resources: Fields, path: str) -> list[FieldError]:
    """Every error in a container's resources."""
    errors: list[FieldError] = []
    limits, requests = resources.get("limits", {}), resources.get("requests", {})
    for name, value in limits.items():
        errors += _validate_quantity(name, value, f"{path}.limits")
    for name, value in requests.items():
        errors += _validate_quantity(name, value, f"{path}.requests")
        limit = limits.get(name)
        if limit is None or errors:
            continue
        requested, allowed = quantity.nanos(value), quantity.nanos(limit)
        if requested > allowed:
            text = f"must be less than or equal to {name} limit of {limit}"
            errors.append(invalid(f"{path}.requests", value, text))
        elif requested != allowed and not _overcommitted(name):
            errors.append(invalid(f"{path}.requests", value, _NOT_OVERCOMMITTED.format(name=name, limit=limit)))
    return errors


def _overcommitted(name: str) -> bool:
    return name in STANDARD or "kubernetes.io/" in name


def _validate_quantity(name: str, value: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if "/" in name:
        errors += invalid_each(f"{path}[{name}]", name, names.label_key(name))
    elif name not in STANDARD and not name.startswith("hugepages-"):
        errors.append(invalid(f"{path}[{name}]", name, "must be a standard resource for containers"))
    if quantity.nanos(value) < 0:
        errors.append(invalid(f"{path}[{name}]", value, names.NON_NEGATIVE))
    return errors
