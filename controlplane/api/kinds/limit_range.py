"""LimitRanges."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names, quantity
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, forbidden, invalid, invalid_each, required
from controlplane.api.printing import quota
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy

PARTS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")
POD, CONTAINER, CLAIM = "Pod", "Container", "PersistentVolumeClaim"

_STANDARD = ("cpu", "memory", "ephemeral-storage", "storage")
_ORDERED = (
    ("min", "max", "min", "min", "min value {0} is greater than max value {1}"),
    (
        "min",
        "defaultRequest",
        "defaultRequest",
        "defaultRequest",
        "min value {0} is greater than default request value {1}",
    ),
    (
        "defaultRequest",
        "max",
        "defaultRequest",
        "defaultRequest",
        "default request value {0} is greater than max value {1}",
    ),
    (
        "defaultRequest",
        "default",
        "defaultRequest",
        "defaultRequest",
        "default request value {0} is greater than default limit value {1}",
    ),
    ("min", "default", "default", "min", "min value {0} is greater than default value {1}"),
    ("default", "max", "default", "max", "default value {0} is greater than max value {1}"),
)
"""Which part must not be more than which other; where it is, whose place and value are shown, and what is said."""


def _default(obj: Object) -> None:
    for item in obj.setdefault("spec", {}).get("limits", ()):
        if item.get("type") != CONTAINER:
            continue
        limits = item.get("max", {}) | item.get("default", {})
        if limits:
            item["default"] = limits
        requests = item.get("min", {}) | limits | item.get("defaultRequest", {})
        if requests:
            item["defaultRequest"] = requests


def _rules(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    types: set[str] = set()
    for index, item in enumerate(obj["spec"].get("limits", ())):
        place, type_ = f"spec.limits[{index}]", item.get("type", "")
        errors += _validate_type(type_, f"{place}.type")
        if type_ in types:
            errors.append(duplicate(f"{place}.type", type_))
        types.add(type_)
        errors += _validate_item(item, place)
    return errors


def _validate_type(type_: str, path: str) -> list[FieldError]:
    if "/" not in type_ and type_ not in (POD, CONTAINER, CLAIM):
        return [invalid(path, type_, "must be a standard limit type or fully qualified")]
    return invalid_each(path, type_, names.label_key(type_))


def _validate_item(item: dict[str, Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if item.get("type") == POD:
        text = "may not be specified when `type` is 'Pod'"
        errors += [forbidden(f"{path}.{name}", text) for name in ("default", "defaultRequest") if item.get(name)]
    elif item.get("type") == CLAIM and "storage" not in item.get("min", {}) and "storage" not in item.get("max", {}):
        text = "either minimum or maximum storage value is required, but neither was provided"
        errors.append(required(f"{path}.limits", text))
    for part in PARTS:
        for name, value in item.get(part, {}).items():
            errors += _validate_amount(name, value, f"{path}.{part}[{name}]")
    for name in sorted({name for part in PARTS for name in item.get(part, {})}):
        errors += _validate_order(item, name, path)
    return errors


def _validate_amount(name: str, value: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if "/" in name:
        errors += invalid_each(path, name, names.label_key(name))
    elif name not in _STANDARD and not name.startswith("hugepages-"):
        errors.append(invalid(path, name, "must be a standard resource type or fully qualified"))
    if quantity.nanos(value) < 0:
        errors.append(invalid(path, value, names.NON_NEGATIVE))
    return errors


def _validate_order(item: dict[str, Any], name: str, path: str) -> list[FieldError]:
    has = {part: item[part][name] for part in PARTS if name in item.get(part, {})}
    errors = [
        invalid(f"{path}.{where}[{name}]", has[value], text.format(has[low], has[high]))
        for low, high, where, value, text in _ORDERED
        if low in has and high in has and quantity.nanos(has[low]) > quantity.nanos(has[high])
    ]
    return errors + _validate_ratio(has, name, path) + _validate_overcommitment(has, name, path)


def _validate_overcommitment(has: dict[str, str], name: str, path: str) -> list[FieldError]:
    """Of what cannot be overcommitted the default limit is the default request."""
    if name in _STANDARD or "default" not in has or "defaultRequest" not in has:
        return []
    limit, request = has["default"], has["defaultRequest"]
    if quantity.nanos(limit) == quantity.nanos(request):
        return []
    text = f"default value {limit} must equal to defaultRequest value {request} in {name}"
    return [invalid(f"{path}.defaultRequest[{name}]", request, text)]


def _validate_ratio(has: dict[str, str], name: str, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    ratio = has.get("maxLimitRequestRatio")
    if ratio is None:
        return errors
    place, allowed = f"{path}.maxLimitRequestRatio[{name}]", quantity.nanos(ratio) / quantity.NANO
    if allowed < 1:
        errors.append(invalid(place, ratio, f"ratio {ratio} is less than 1"))
    if "max" in has and "min" in has and quantity.nanos(has["min"]):
        largest = quantity.nanos(has["max"]) / quantity.nanos(has["min"])
        if allowed > largest:
            errors.append(invalid(place, ratio, f"ratio {ratio} is greater than max/min = {largest:f}"))
    return errors


LIMIT_RANGE = Kind(
    group="",
    version="v1",
    name="LimitRange",
    plural="limitranges",
    definition="io.k8s.api.core.v1.LimitRange",
    short_names=("limits",),
    put_creates=True,
    strategy=Strategy(
        default=_default,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        columns=quota.LIMIT_RANGE_COLUMNS,
        row=quota.limit_range_row,
    ),
)
