"""Services: validation, in upstream's order."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, forbidden, invalid, invalid_each, not_supported, required
from controlplane.api.rules.containers import PROTOCOLS
from controlplane.api.rules.numbers import port_or_name
from controlplane.api.types import Object

Fields = dict[str, Any]

TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
AFFINITIES = ("ClientIP", "None")
POLICIES = ("Cluster", "Local")
LONGEST_AFFINITY_SECONDS = 86400
HEADLESS = "None"


def is_external(spec: Fields) -> bool:
    """Whether traffic from outside the cluster may reach the Service."""
    return spec["type"] in ("LoadBalancer", "NodePort") or (
        spec["type"] == "ClusterIP" and bool(spec.get("externalIPs"))
    )


def validate_service(obj: Object) -> list[FieldError]:
    """Every error in the spec of a defaulted Service."""
    spec = obj["spec"]
    headless, type_ = spec.get("clusterIP") == HEADLESS, spec["type"]
    errors: list[FieldError] = []
    if not spec.get("ports") and not headless and type_ != "ExternalName":
        errors.append(required("spec.ports"))
    if type_ in ("LoadBalancer", "NodePort") and headless:
        errors.append(invalid("spec.clusterIPs[0]", HEADLESS, f"may not be set to 'None' for {type_} services"))
    if type_ == "ExternalName":
        errors += _validate_external_name(spec)
    errors += _validate_ports(spec)
    if "selector" in spec:
        errors += meta.validate_labels(spec["selector"], "spec.selector")
    errors += _validate_affinity(spec)
    errors += _validate_addresses(spec)
    if type_ not in TYPES:
        errors.append(not_supported("spec.type", type_, TYPES))
    if type_ == "ClusterIP":
        errors += _forbid_node_ports(spec)
    errors += _validate_unique_ports(spec.get("ports", ()))
    return errors + _validate_traffic(spec)


def validate_service_update(new: Object, old: Object) -> list[FieldError]:
    """What an update of a Service may not change: its cluster address."""
    spec, before = new["spec"], old["spec"]
    if "ExternalName" in (spec["type"], before["type"]) or not before.get("clusterIP"):
        return []
    errors: list[FieldError] = []
    if not spec.get("clusterIP"):
        errors.append(invalid("spec.clusterIPs[0]", spec.get("clusterIPs"), "primary clusterIP can not be unset"))
    elif spec["clusterIP"] != before["clusterIP"]:
        errors.append(invalid("spec.clusterIPs[0]", spec.get("clusterIPs"), "may not change once set"))
    return errors


def _validate_external_name(spec: Fields) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("clusterIPs", "ipFamilies", "ipFamilyPolicy"):
        if spec.get(name):
            errors.append(forbidden(f"spec.{name}", "may not be set for ExternalName services"))
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        errors.append(required("spec.externalName"))
    else:
        errors += invalid_each("spec.externalName", name, names.dns1123_subdomain(name))
    return errors


def _validate_ports(spec: Fields) -> list[FieldError]:
    ports = spec.get("ports", ())
    errors: list[FieldError] = []
    taken: set[str] = set()
    for index, port in enumerate(ports):
        path = f"spec.ports[{index}]"
        name = port.get("name", "")
        if name:
            wrong = names.dns1123_label(name)
            errors += invalid_each(f"{path}.name", name, wrong)
            if not wrong and name in taken:
                errors.append(duplicate(f"{path}.name", name))
            taken.add(name)
        elif len(ports) > 1:
            errors.append(required(f"{path}.name"))
        number = port.get("port", 0)
        errors += invalid_each(f"{path}.port", number, names.port_number(number))
        if port["protocol"] not in PROTOCOLS:
            errors.append(not_supported(f"{path}.protocol", port["protocol"], PROTOCOLS))
        errors += port_or_name(port["targetPort"], f"{path}.targetPort")
        if port.get("appProtocol"):
            errors += invalid_each(f"{path}.appProtocol", port["appProtocol"], names.label_key(port["appProtocol"]))
    return errors


def _validate_affinity(spec: Fields) -> list[FieldError]:
    affinity = spec["sessionAffinity"]
    if affinity not in AFFINITIES:
        return [not_supported("spec.sessionAffinity", affinity, AFFINITIES)]
    if affinity == "None":
        return []
    seconds = spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds", 0)
    if 0 < seconds <= LONGEST_AFFINITY_SECONDS:
        return []
    text = f"must be greater than 0 and less than {LONGEST_AFFINITY_SECONDS}"
    return [invalid("spec.sessionAffinityConfig.clientIP.timeoutSeconds", seconds, text)]


def _validate_addresses(spec: Fields) -> list[FieldError]:
    errors: list[FieldError] = []
    address, addresses = spec.get("clusterIP", ""), spec.get("clusterIPs", ())
    if address and addresses and addresses[0] != address:
        errors.append(invalid("spec.clusterIPs", list(addresses), "first value must match `clusterIP`"))
    if len(addresses) > 1:
        text = "may specify no more than one IP for each IP family, and this cluster has IPv4 only"
        errors.append(invalid("spec.clusterIPs", list(addresses), text))
    for index, one in enumerate(addresses or ((address,) if address else ())):
        if one != HEADLESS:
            errors += invalid_each(f"spec.clusterIPs[{index}]", one, names.ip_address(one))
    for index, family in enumerate(spec.get("ipFamilies", ())):
        if family not in ("IPv4", "IPv6"):
            errors.append(not_supported(f"spec.ipFamilies[{index}]", family, ("IPv4", "IPv6")))
        elif family == "IPv6":
            text = "not configured on this cluster"
            errors.append(invalid(f"spec.ipFamilies[{index}]", family, text))
    if spec.get("ipFamilyPolicy") not in (None, "SingleStack", "PreferDualStack", "RequireDualStack"):
        supported = ("PreferDualStack", "RequireDualStack", "SingleStack")
        errors.append(not_supported("spec.ipFamilyPolicy", spec["ipFamilyPolicy"], supported))
    elif spec.get("ipFamilyPolicy") == "RequireDualStack":
        text = "this cluster is not configured for dual-stack services"
        errors.append(invalid("spec.ipFamilyPolicy", "RequireDualStack", text))
    for index, one in enumerate(spec.get("externalIPs", ())):
        errors += invalid_each(f"spec.externalIPs[{index}]", one, names.endpoint_address(one))
    return errors


def _forbid_node_ports(spec: Fields) -> list[FieldError]:
    return [
        forbidden(f"spec.ports[{index}].nodePort", "may not be used when `type` is 'ClusterIP'")
        for index, port in enumerate(spec.get("ports", ()))
        if port.get("nodePort")
    ]


def _validate_unique_ports(ports: Any) -> list[FieldError]:
    errors: list[FieldError] = []
    node_ports: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        node_port = port.get("nodePort")
        key = (port["protocol"], node_port or 0)
        if node_port:
            if key in node_ports:
                errors.append(duplicate(f"spec.ports[{index}].nodePort", {"protocol": key[0], "nodePort": key[1]}))
            node_ports.add(key)
    seen: set[tuple[str, int]] = set()
    for index, port in enumerate(ports):
        key = (port["protocol"], port.get("port", 0))
        if key in seen:
            errors.append(duplicate(f"spec.ports[{index}]", {"protocol": key[0], "port": key[1]}))
        seen.add(key)
    return errors


def _validate_traffic(spec: Fields) -> list[FieldError]:
    errors: list[FieldError] = []
    ranges = spec.get("loadBalancerSourceRanges", ())
    if ranges and spec["type"] != "LoadBalancer":
        text = "may only be used when `type` is 'LoadBalancer'"
        errors.append(forbidden("spec.loadBalancerSourceRanges", text))
    for index, one in enumerate(ranges):
        errors += invalid_each(f"spec.loadBalancerSourceRanges[{index}]", one, names.cidr(one.strip()))
    if spec.get("loadBalancerClass") and spec["type"] != "LoadBalancer":
        errors.append(forbidden("spec.loadBalancerClass", "may only be used when `type` is 'LoadBalancer'"))
    if "allocateLoadBalancerNodePorts" in spec and spec["type"] != "LoadBalancer":
        errors.append(forbidden("spec.allocateLoadBalancerNodePorts", "may only be used when `type` is 'LoadBalancer'"))
    policy = spec.get("externalTrafficPolicy")
    if policy is not None and not is_external(spec):
        text = "may only be set for externally-accessible services"
        errors.append(invalid("spec.externalTrafficPolicy", policy, text))
    elif policy is not None and policy not in POLICIES:
        errors.append(not_supported("spec.externalTrafficPolicy", policy, POLICIES))
    internal = spec.get("internalTrafficPolicy")
    if internal is not None and internal not in POLICIES:
        errors.append(not_supported("spec.internalTrafficPolicy", internal, POLICIES))
    return errors
