"""EndpointSlices: the addresses behind a Service."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import IMMUTABLE, duplicate, invalid, invalid_each, not_supported, required, too_many
from controlplane.api.printing import networking
from controlplane.api.rules.containers import PROTOCOLS
from controlplane.api.types import Kind, Object, Strategy

ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MOST_ENDPOINTS, MOST_ADDRESSES, MOST_PORTS = 1000, 100, 100


def _default(obj: Object) -> None:
    for port in obj.get("ports", ()):
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")
    obj.setdefault("endpoints", [])


def _prepare_create(obj: Object) -> None:
    obj["metadata"]["generation"] = 1


def _prepare_update(new: Object, old: Object) -> None:
    meta.bump_generation(new, old, "endpoints", "ports", "addressType")


def _validate_content(obj: Object) -> list[FieldError]:
    kind = obj.get("addressType", "")
    errors: list[FieldError] = []
    if not kind:
        errors.append(required("addressType"))
    elif kind not in ADDRESS_TYPES:
        errors.append(not_supported("addressType", kind, ADDRESS_TYPES))
    endpoints, ports = obj["endpoints"], obj.get("ports", ())
    if len(endpoints) > MOST_ENDPOINTS:
        return [*errors, too_many("endpoints", len(endpoints), MOST_ENDPOINTS)]
    for index, endpoint in enumerate(endpoints):
        errors += _validate_endpoint(endpoint, f"endpoints[{index}]", kind)
    if len(ports) > MOST_PORTS:
        return [*errors, too_many("ports", len(ports), MOST_PORTS)]
    taken: set[str] = set()
    for index, port in enumerate(ports):
        name = port["name"]
        if name in taken:
            errors.append(duplicate(f"ports[{index}].name", name))
        taken.add(name)
        if name:
            errors += invalid_each(f"ports[{index}].name", name, names.dns1123_label(name))
        if port["protocol"] not in PROTOCOLS:
            errors.append(not_supported(f"ports[{index}].protocol", port["protocol"], PROTOCOLS))
    return errors


def _validate_endpoint(endpoint: Object, path: str, kind: str) -> list[FieldError]:
    addresses = endpoint.get("addresses", ())
    if not addresses:
        return [required(f"{path}.addresses", "must contain at least 1 address")]
    if len(addresses) > MOST_ADDRESSES:
        return [too_many(f"{path}.addresses", len(addresses), MOST_ADDRESSES)]
    errors: list[FieldError] = []
    for index, address in enumerate(addresses):
        wrong = names.dns1123_subdomain(address) if kind == "FQDN" else names.endpoint_address(address)
        if not wrong and (":" in address) is not (kind == "IPv6") and kind != "FQDN":
            wrong = [f"must be an {kind} address"]
        errors += invalid_each(f"{path}.addresses[{index}]", address, wrong)
    if endpoint.get("hostname"):
        errors += invalid_each(f"{path}.hostname", endpoint["hostname"], names.dns1123_label(endpoint["hostname"]))
    return errors


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain) + _validate_content(obj)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old) + _validate_content(new)
    if new.get("addressType") != old.get("addressType"):
        errors.append(invalid("addressType", new.get("addressType", ""), IMMUTABLE))
    return errors


ENDPOINT_SLICE = Kind(
    group="discovery.k8s.io",
    version="v1",
    name="EndpointSlice",
    plural="endpointslices",
    definition="io.k8s.api.discovery.v1.EndpointSlice",
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=_prepare_update,
        validate=_validate,
        validate_update=_validate_update,
        columns=networking.ENDPOINT_SLICE_COLUMNS,
        row=networking.endpoint_slice_row,
    ),
)
