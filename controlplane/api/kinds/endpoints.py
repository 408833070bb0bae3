"""Endpoints, the older form of what EndpointSlices say."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid_each, not_supported, required
from controlplane.api.printing import networking
from controlplane.api.rules.containers import PROTOCOLS
from controlplane.api.types import Kind, Object, Strategy


def _default(obj: Object) -> None:
    for subset in obj.get("subsets", ()):
        for port in subset.get("ports", ()):
            if not port.get("protocol"):
                port["protocol"] = "TCP"


def _validate_subsets(obj: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, subset in enumerate(obj.get("subsets", ())):
        path = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            errors.append(required(path, "must specify `addresses` or `notReadyAddresses`"))
        for kind in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(subset.get(kind, ())):
                value = address.get("ip", "")
                errors += invalid_each(f"{path}.{kind}[{number}].ip", value, names.endpoint_address(value))
        ports = subset.get("ports", ())
        for number, port in enumerate(ports):
            errors += _validate_port(port, f"{path}.ports[{number}]", named=len(ports) > 1)
    return errors


def _validate_port(port: Object, path: str, *, named: bool) -> list[FieldError]:
    errors: list[FieldError] = []
    name = port.get("name", "")
    if named and not name:
        errors.append(required(f"{path}.name"))
    elif name:
        errors += invalid_each(f"{path}.name", name, names.dns1123_label(name))
    errors += invalid_each(f"{path}.port", port.get("port", 0), names.port_number(port.get("port", 0)))
    if port["protocol"] not in PROTOCOLS:
        errors.append(not_supported(f"{path}.protocol", port["protocol"], PROTOCOLS))
    return errors


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain) + _validate_subsets(obj)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    return meta.validate_update(new, old) + _validate_subsets(new)


ENDPOINTS = Kind(
    group="",
    version="v1",
    name="Endpoints",
    plural="endpoints",
    definition="io.k8s.api.core.v1.Endpoints",
    short_names=("ep",),
    deprecation="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
    put_creates=True,
    strategy=Strategy(
        default=_default,
        validate=_validate,
        validate_update=_validate_update,
        columns=networking.ENDPOINTS_COLUMNS,
        row=networking.endpoints_row,
    ),
)
