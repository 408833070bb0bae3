"""Ingresses."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, invalid_each, not_supported, required
from controlplane.api.printing import ingress
from controlplane.api.rules import lifecycle
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import kind_warnings

Fields = dict[str, Any]

CLASS_ANNOTATION = "kubernetes.io/ingress.class"
PATH_TYPES = ("Exact", "ImplementationSpecific", "Prefix")

_NOT_WITHIN = ("//", "/./", "/../", "%2f", "%2F")
_NOT_AT_END = ("/..", "/.")


def _default(obj: Object) -> None:
    obj.setdefault("spec", {})
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def _prepare_create(obj: Object) -> None:
    lifecycle.first_generation(obj)
    obj["status"] = {"loadBalancer": {}}


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    errors: list[FieldError] = []
    if not spec.get("rules") and "defaultBackend" not in spec:
        errors.append(invalid("spec", [], "either `defaultBackend` or `rules` must be specified"))
    if "defaultBackend" in spec:
        errors += _validate_backend(spec["defaultBackend"], "spec.defaultBackend")
    for index, rule in enumerate(spec.get("rules", ())):
        errors += _validate_rule(rule, f"spec.rules[{index}]")
    for index, tls in enumerate(spec.get("tls", ())):
        errors += _validate_tls(tls, f"spec.tls[{index}]")
    name = spec.get("ingressClassName")
    return errors + (invalid_each("spec.ingressClassName", name, names.dns1123_subdomain(name)) if name else [])


def _validate_rule(rule: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    host = rule.get("host", "")
    if host:
        if _is_address(host):
            errors.append(invalid(f"{path}.host", host, "must be a DNS name, not an IP address"))
        errors += invalid_each(f"{path}.host", host, _host(host))
    http = rule.get("http")
    if http is None:
        return errors
    if not http.get("paths"):
        return [*errors, required(f"{path}.http.paths")]
    for index, one in enumerate(http["paths"]):
        errors += _validate_path(one, f"{path}.http.paths[{index}]")
    return errors


def _host(host: str) -> list[str]:
    return names.wildcard_subdomain(host) if "*" in host else names.dns1123_subdomain(host)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _validate_path(one: Fields, path: str) -> list[FieldError]:
    type_, wanted = one.get("pathType"), one.get("path", "")
    errors: list[FieldError] = []
    if type_ is None:
        return [required(f"{path}.pathType", "pathType must be specified")]
    if type_ not in PATH_TYPES:
        errors.append(not_supported(f"{path}.pathType", type_, PATH_TYPES))
    elif type_ == "ImplementationSpecific":
        if wanted and not wanted.startswith("/"):
            errors.append(invalid(f"{path}.path", wanted, "must be an absolute path"))
    else:
        if not wanted.startswith("/"):
            errors.append(invalid(f"{path}.path", wanted, "must be an absolute path"))
        if wanted:
            errors += [invalid(f"{path}.path", wanted, f"must not contain '{x}'") for x in _NOT_WITHIN if x in wanted]
            errors += [
                invalid(f"{path}.path", wanted, f"cannot end with '{x}'") for x in _NOT_AT_END if wanted.endswith(x)
            ]
    return errors + _validate_backend(one.get("backend", {}), f"{path}.backend")


def _validate_backend(backend: Fields, path: str) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [invalid(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return [required(f"{path}.resource.{name}") for name in ("kind", "name") if not resource.get(name)]
    if service is None:
        return [required(path, "resource or service backend is required")]
    name = service.get("name", "")
    place = f"{path}.service"
    errors = invalid_each(f"{place}.name", name, names.dns1035_label(name)) if name else [required(f"{place}.name")]
    return errors + _validate_backend_port(service.get("port", {}), place)


def _validate_backend_port(port: Fields, path: str) -> list[FieldError]:
    name, number = port.get("name"), port.get("number")
    if name and number:
        return [invalid(path, "", "cannot set both port name & port number")]
    if name:
        return invalid_each(f"{path}.port.name", name, names.port_name(name))
    if number:
        return invalid_each(f"{path}.port.number", number, names.port_number(number))
    return [required(path, "port name or number is required")]


def _validate_tls(tls: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, host in enumerate(tls.get("hosts", ())):
        errors += invalid_each(f"{path}.hosts[{index}]", host, _host(host))
    secret = tls.get("secretName")
    return errors + (invalid_each(f"{path}.secretName", secret, names.dns1123_subdomain(secret)) if secret else [])


def _validate(obj: Object) -> list[FieldError]:
    errors = meta.validate(obj, names.dns1123_subdomain)
    annotated = obj["metadata"].get("annotations", {}).get(CLASS_ANNOTATION)
    if annotated is not None and obj["spec"].get("ingressClassName"):
        place = f"metadata.annotations[{CLASS_ANNOTATION}]"
        errors.append(invalid(place, annotated, "can not be set when the class field is also set"))
    return errors + _rules(obj)


def _validate_status(new: Object, _old: Object) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, one in enumerate(new.get("status", {}).get("loadBalancer", {}).get("ingress", ())):
        place = f"status.loadBalancer.ingress[{index}]"
        if one.get("ip"):
            errors += invalid_each(f"{place}.ip", one["ip"], names.ip_address(one["ip"]))
        if one.get("hostname"):
            errors += invalid_each(f"{place}.hostname", one["hostname"], names.dns1123_subdomain(one["hostname"]))
    return errors


def _warnings(obj: Object) -> list[str]:
    found = kind_warnings(obj)
    if CLASS_ANNOTATION in obj["metadata"].get("annotations", {}):
        found.append(f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead")
    return found


INGRESS = Kind(
    group="networking.k8s.io",
    version="v1",
    name="Ingress",
    plural="ingresses",
    definition="io.k8s.api.networking.v1.Ingress",
    short_names=("ing",),
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=lifecycle.update_spec,
        prepare_status_update=lifecycle.update_status,
        validate=_validate,
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        validate_status_update=_validate_status,
        warnings=_warnings,
        columns=ingress.INGRESS_COLUMNS,
        row=ingress.ingress_row,
    ),
)
