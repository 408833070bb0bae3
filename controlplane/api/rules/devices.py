"""Devices that pods claim (resource.k8s.io): defaults and validation of requests, slices and taints.

Selectors in CEL are taken as text, as everywhere on this server.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, invalid, invalid_each, not_supported, required
from controlplane.api.rules.scheduling import validate_node_selector

Fields = dict[str, Any]

MODES = ("All", "ExactCount")
EFFECTS = ("NoExecute", "NoSchedule", "None")
LONGEST_DRIVER = 63


def default_requests(devices: Fields) -> None:
    """One device of its class, where a request says nothing else."""
    for request in devices.get("requests", ()):
        for one in [request.get("exactly"), *request.get("firstAvailable", ())]:
            if one is None:
                continue
            one.setdefault("allocationMode", "ExactCount")
            if one["allocationMode"] == "ExactCount":
                one.setdefault("count", 1)


def validate_claim(devices: Fields, path: str) -> list[FieldError]:
    """Every error in what a claim asks for."""
    errors: list[FieldError] = []
    taken: set[str] = set()
    for index, request in enumerate(devices.get("requests", ())):
        place, name = f"{path}.requests[{index}]", request.get("name", "")
        errors += _validate_name(name, taken, f"{place}.name")
        exactly, choices = request.get("exactly"), request.get("firstAvailable", ())
        if exactly is None and not choices:
            errors.append(required(place, "exactly one of `exactly` or `firstAvailable` is required"))
        elif exactly is not None and choices:
            text = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set"
            errors.append(invalid(place, None, text))
        if exactly is not None:
            errors += _validate_request(exactly, f"{place}.exactly")
        inner: set[str] = set()
        for number, choice in enumerate(choices):
            below = f"{place}.firstAvailable[{number}]"
            errors += _validate_name(choice.get("name", ""), inner, f"{below}.name")
            errors += _validate_request(choice, below)
    return errors


def _validate_name(name: str, taken: set[str], path: str) -> list[FieldError]:
    errors = invalid_each(path, name, names.dns1123_label(name)) if name else [required(path)]
    if name in taken:
        errors.append(duplicate(path, name))
    taken.add(name)
    return errors


def _validate_request(request: Fields, path: str) -> list[FieldError]:
    name = request.get("deviceClassName", "")
    place = f"{path}.deviceClassName"
    errors = invalid_each(place, name, names.dns1123_subdomain(name)) if name else [required(place)]
    mode, count = request["allocationMode"], request.get("count", 0)
    if mode == "ExactCount" and count <= 0:
        errors.append(invalid(f"{path}.count", count, names.POSITIVE))
    elif mode == "All" and count:
        errors.append(invalid(f"{path}.count", count, "must not be specified when allocationMode is 'All'"))
    elif mode not in MODES:
        errors.append(not_supported(f"{path}.allocationMode", mode, MODES))
    return errors + validate_selectors(request.get("selectors", ()), f"{path}.selectors")


def validate_selectors(selectors: Sequence[Fields], path: str) -> list[FieldError]:
    """Selectors of devices say something, in CEL."""
    errors: list[FieldError] = []
    for index, selector in enumerate(selectors):
        cel = selector.get("cel")
        if cel is None:
            errors.append(required(f"{path}[{index}].cel"))
        elif not cel.get("expression"):
            errors.append(required(f"{path}[{index}].cel.expression"))
    return errors


def validate_driver(name: str, path: str) -> list[FieldError]:
    """Every error in the name of a driver."""
    if not name:
        return [required(path)]
    errors: list[FieldError] = []
    if len(name) > LONGEST_DRIVER:
        errors.append(FieldError("FieldValueTooLong", path, f"Too long: may not be more than {LONGEST_DRIVER} bytes"))
    return errors + invalid_each(path, name, names.dns1123_subdomain(name))


def validate_slice(spec: Fields, path: str) -> list[FieldError]:
    """Every error in a slice of a driver's devices."""
    errors = validate_driver(spec.get("driver", ""), f"{path}.driver")
    pool = spec.get("pool", {})
    if not pool.get("name"):
        errors.append(required(f"{path}.pool.name"))
    if pool.get("resourceSliceCount", 0) <= 0:
        errors.append(invalid(f"{path}.pool.resourceSliceCount", pool.get("resourceSliceCount", 0), names.POSITIVE))
    if pool.get("generation", 0) < 0:
        errors.append(invalid(f"{path}.pool.generation", pool["generation"], names.NON_NEGATIVE))
    places = [name for name in ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection") if spec.get(name)]
    if len(places) != 1:
        text = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
        errors.append(invalid(path, places, f"{text}, but multiple fields are set") if places else required(path, text))
    if "nodeSelector" in spec:
        errors += validate_node_selector(spec["nodeSelector"], f"{path}.nodeSelector")
    taken: set[str] = set()
    for index, device in enumerate(spec.get("devices", ())):
        errors += _validate_name(device.get("name", ""), taken, f"{path}.devices[{index}].name")
    return errors


def validate_taint(taint: Fields, path: str) -> list[FieldError]:
    """Every error in the taint of a device."""
    key, effect = taint.get("key", ""), taint.get("effect", "")
    errors = invalid_each(f"{path}.key", key, names.label_key(key)) if key else [required(f"{path}.key")]
    if not effect:
        errors.append(required(f"{path}.effect"))
    elif effect not in EFFECTS:
        errors.append(not_supported(f"{path}.effect", effect, EFFECTS))
    value = taint.get("value", "")
    return errors + invalid_each(f"{path}.value", value, names.label_value(value))
