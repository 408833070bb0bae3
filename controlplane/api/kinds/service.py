"""Services."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.printing import networking
from controlplane.api.rules.service import is_external, validate_service, validate_service_update
from controlplane.api.types import Kind, Object, Strategy

DEFAULT_AFFINITY_SECONDS = 10800


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    if not spec.get("type"):
        spec["type"] = "ClusterIP"
    _default_affinity(spec)
    for port in spec.get("ports", ()):
        if not port.get("protocol"):
            port["protocol"] = "TCP"
        if not port.get("targetPort"):
            port["targetPort"] = port.get("port", 0)
    if is_external(spec) and not spec.get("externalTrafficPolicy"):
        spec["externalTrafficPolicy"] = "Cluster"
    if spec["type"] in ("ClusterIP", "LoadBalancer", "NodePort"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    for ingress in obj.get("status", {}).get("loadBalancer", {}).get("ingress", ()):
        if ingress.get("ip") and spec["type"] == "LoadBalancer":
            ingress.setdefault("ipMode", "VIP")


def _default_affinity(spec: dict[str, Any]) -> None:
    if not spec.get("sessionAffinity"):
        spec["sessionAffinity"] = "None"
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        config = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        config.setdefault("timeoutSeconds", DEFAULT_AFFINITY_SECONDS)


def _prepare_create(obj: Object) -> None:
    obj["status"] = {"loadBalancer": {}}
    _agree_on_addresses(obj["spec"], {})


def _prepare_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "status")
    spec, before = new["spec"], old["spec"]
    _drop_what_the_type_has_not(spec, before)
    _keep_allocated(spec, before)
    _agree_on_addresses(spec, before)
    if old["metadata"].get("generation"):
        meta.bump_generation(new, old, "spec")


def _prepare_status_update(new: Object, old: Object) -> None:
    meta.restore(new, old, "spec")


def _agree_on_addresses(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """Keeps `clusterIP` and `clusterIPs` in step: the one that the caller set or changed leads."""
    address, addresses = spec.get("clusterIP"), spec.get("clusterIPs")
    if address != before.get("clusterIP") and addresses == before.get("clusterIPs"):
        spec.pop("clusterIPs", None)
        if address:
            spec["clusterIPs"] = [address]
    elif address and not addresses:
        spec["clusterIPs"] = [address]
    elif addresses and not address:
        spec["clusterIP"] = addresses[0]


def _keep_allocated(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """What was allocated and the caller did not mention stays: cluster address, families and node ports."""
    if "ExternalName" not in (spec["type"], before["type"]):
        for name in ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"):
            if not spec.get(name) and name in before:
                spec[name] = before[name]
    if _has_node_ports(spec) and _has_node_ports(before):
        known = {(port["protocol"], port["port"]): port.get("nodePort") for port in before.get("ports", ())}
        taken = {port.get("nodePort") for port in spec.get("ports", ())}
        for port in spec.get("ports", ()):
            allocated = known.get((port["protocol"], port.get("port", 0)))
            if allocated and not port.get("nodePort") and allocated not in taken:
                port["nodePort"] = allocated


def _drop_what_the_type_has_not(spec: dict[str, Any], before: dict[str, Any]) -> None:
    """On a change of type, drops what only the former type had, unless the caller changed it too."""
    if spec["type"] == before["type"]:
        return
    if spec["type"] == "ExternalName":
        _drop_unchanged(
            spec, before, "clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"
        )
    if not _has_node_ports(spec):
        same = {(port.get("name"), port.get("nodePort")) for port in before.get("ports", ())}
        for port in spec.get("ports", ()):
            if (port.get("name"), port.get("nodePort")) in same:
                port.pop("nodePort", None)
    if not is_external(spec):
        _drop_unchanged(spec, before, "externalTrafficPolicy", "healthCheckNodePort")
    if spec["type"] != "LoadBalancer":
        _drop_unchanged(spec, before, "allocateLoadBalancerNodePorts", "loadBalancerClass")


def _has_node_ports(spec: dict[str, Any]) -> bool:
    return spec["type"] in ("LoadBalancer", "NodePort")


def _drop_unchanged(spec: dict[str, Any], before: dict[str, Any], *fields: str) -> None:
    for name in fields:
        if spec.get(name) == before.get(name):
            spec.pop(name, None)


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_label) + validate_service(obj)


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    return meta.validate_update(new, old) + validate_service_update(new, old) + validate_service(new)


def _warnings(obj: Object) -> list[str]:
    """What upstream says of fields that are deprecated, or of no use in this type of Service."""
    spec = obj["spec"]
    found = []
    if spec["type"] == "ClusterIP" and spec.get("clusterIP") == "None":
        ignored = {
            "loadBalancerIP": spec.get("loadBalancerIP"),
            "externalIPs": spec.get("externalIPs"),
            "SessionAffinity": spec["sessionAffinity"] != "None",
        }
        found += [f"spec.{name} is ignored for headless services" for name, used in ignored.items() if used]
    if spec.get("externalIPs"):
        found.append("spec.externalIPs is deprecated")
        if spec["type"] == "ExternalName":
            found.append('spec.externalIPs is ignored when spec.type is "ExternalName"')
    if spec.get("externalName") and spec["type"] != "ExternalName":
        found.append('spec.externalName is ignored when spec.type is not "ExternalName"')
    if spec.get("trafficDistribution") == "PreferClose":
        found.append('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"')
    return found


def _fields(obj: Object) -> dict[str, str]:
    spec = obj.get("spec", {})
    return {"spec.clusterIP": spec.get("clusterIP", ""), "spec.type": spec.get("type", "")}


SERVICE = Kind(
    group="",
    version="v1",
    name="Service",
    plural="services",
    definition="io.k8s.api.core.v1.Service",
    short_names=("svc",),
    categories=("all",),
    subresources=("proxy", "status"),
    put_creates=True,
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=_prepare_update,
        prepare_status_update=_prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        warnings=_warnings,
        fields=_fields,
        columns=networking.SERVICE_COLUMNS,
        row=networking.service_row,
    ),
)
