"""What an object counts for in a ResourceQuota, and whether a quota is about it: facts, no decisions.

Amounts are in billionths, as quantities are held. Admission adds them up before a write, the quota
controller after it. Names follow pkg/quota/v1/evaluator/core.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api import quantity
from controlplane.api.kinds import PERSISTENT_VOLUME_CLAIM, POD, SERVICE
from controlplane.api.pod_resources import Amounts, containers_of, pod_amounts
from controlplane.api.printing.storage import class_of
from controlplane.api.rules import quota as rules
from controlplane.api.rules.qos import qos_class
from controlplane.api.types import Kind, Object

ONE = quantity.NANO
CLASS_SUFFIX = ".storageclass.storage.k8s.io/"
ATTRIBUTES_SUFFIX = ".volumeattributesclass.storage.k8s.io/"
COUNTED = frozenset(("configmaps", "replicationcontrollers", "resourcequotas", "secrets"))
"""Core kinds that are counted by their plain name too."""

_BARE = ("cpu", "memory", "ephemeral-storage")
_LIMITED = ("cpu", "memory", "ephemeral-storage")


def usage(kind: Kind, obj: Object) -> Amounts:
    """What `obj` counts for, by the names that a quota may have."""
    counted = {f"count/{kind.resource}": ONE}
    if kind is POD:
        return counted | _pod_usage(obj)
    if kind is SERVICE:
        return counted | _service_usage(obj)
    if kind is PERSISTENT_VOLUME_CLAIM:
        return counted | _claim_usage(obj)
    if kind.resource in COUNTED:
        counted[kind.resource] = ONE
    return counted


def counts(kind: Kind, hard: Iterable[str]) -> bool:
    """Whether any of the names in `hard` can be about objects of `kind`."""
    names = set(hard)
    if f"count/{kind.resource}" in names or kind.resource in names:
        return True
    if kind is POD:
        return any(name in rules.COMPUTE or "hugepages-" in name or name.startswith("requests.") for name in names)
    if kind is SERVICE:
        return any(name.startswith("services.") for name in names)
    if kind is PERSISTENT_VOLUME_CLAIM:
        return any(name == "requests.storage" or CLASS_SUFFIX in name or ATTRIBUTES_SUFFIX in name for name in names)
    return False


def counted_by(quota: Object, kind: Kind, obj: Object) -> Amounts:
    """What `obj` counts for in `quota`; nothing where the quota's scopes leave it out."""
    hard = quota["spec"].get("hard", {})
    found = {name: value for name, value in usage(kind, obj).items() if name in hard}
    return found if found and in_scopes(quota, kind, obj) else {}


def in_scopes(quota: Object, kind: Kind, obj: Object) -> bool:
    """Whether every scope of the quota takes the object."""
    spec = quota["spec"]
    terms = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes", ())]
    terms += spec.get("scopeSelector", {}).get("matchExpressions", ())
    return all(_scope_takes(term, kind, obj) for term in terms)


def missing(quota: Object, kind: Kind, obj: Object) -> list[str]:
    """What the quota limits and the pod does not say: "limits.cpu for: web"; only pods have to say anything."""
    if kind is not POD or not in_scopes(quota, kind, obj):
        return []
    if "resources" in obj.get("spec", {}) and obj["spec"]["resources"]:
        return []
    found: dict[str, list[str]] = {}
    for name in sorted(quota["spec"].get("hard", {})):
        part, _, resource = name.rpartition(".")
        if name not in rules.COMPUTE:
            continue
        where = part or "requests"
        lacking = [
            container.get("name", "")
            for container in containers_of(obj.get("spec", {}))
            if resource not in container.get("resources", {}).get(where, {})
        ]
        if lacking:
            found[name] = sorted(lacking)
    return [f"{name} for: {','.join(names)}" for name, names in found.items()]


def _pod_usage(pod: Object) -> Amounts:
    if ended(pod):
        return {}
    spec = pod.get("spec", {})
    found = {"pods": ONE}
    for name, value in pod_amounts(spec, "requests").items():
        found[f"requests.{name}"] = value
        if name in _BARE or name.startswith("hugepages-"):
            found[name] = value
    for name, value in pod_amounts(spec, "limits").items():
        if name in _LIMITED:
            found[f"limits.{name}"] = value
    return found


def ended(pod: Object) -> bool:
    """Whether the pod runs no more, and so uses nothing but its place in count/pods."""
    return pod.get("status", {}).get("phase") in ("Succeeded", "Failed")


def _service_usage(service: Object) -> Amounts:
    spec = service.get("spec", {})
    found = {"services": ONE}
    type_, ports = spec.get("type"), len(spec.get("ports", ()))
    if type_ == "NodePort":
        found["services.nodeports"] = ports * ONE
    elif type_ == "LoadBalancer":
        found["services.loadbalancers"] = ONE
        allocated = [port for port in spec.get("ports", ()) if port.get("nodePort")]
        found["services.nodeports"] = (
            ports if spec.get("allocateLoadBalancerNodePorts", True) else len(allocated)
        ) * ONE
    return found


def _claim_usage(claim: Object) -> Amounts:
    spec = claim.get("spec", {})
    found = {"persistentvolumeclaims": ONE}
    size = spec.get("resources", {}).get("requests", {}).get("storage")
    has = claim.get("status", {}).get("allocatedResources", {}).get("storage", "0")
    wanted = max(quantity.nanos(size), quantity.nanos(has)) if size is not None else None
    suffixes = [class_of(claim) + CLASS_SUFFIX] if class_of(claim) else []
    for suffix in suffixes:
        found[f"{suffix}persistentvolumeclaims"] = ONE
    if wanted is not None:
        found["requests.storage"] = wanted
        for suffix in suffixes:
            found[f"{suffix}requests.storage"] = wanted
    return found


def _scope_takes(term: Mapping[str, Any], kind: Kind, obj: Object) -> bool:
    scope, spec = term.get("scopeName"), obj.get("spec", {})
    if kind is PERSISTENT_VOLUME_CLAIM:
        return scope == rules.ATTRIBUTES_CLASS and _value_fits(term, spec.get("volumeAttributesClassName", ""))
    if kind is not POD:
        return False
    match scope:
        case rules.TERMINATING:
            return "activeDeadlineSeconds" in spec
        case rules.NOT_TERMINATING:
            return "activeDeadlineSeconds" not in spec
        case rules.BEST_EFFORT:
            return qos_class(spec) == "BestEffort"
        case rules.NOT_BEST_EFFORT:
            return qos_class(spec) != "BestEffort"
        case rules.PRIORITY:
            return _value_fits(term, spec.get("priorityClassName", ""))
        case rules.CROSS_NAMESPACE:
            return _crosses_namespaces(spec)
    return False


def _value_fits(term: Mapping[str, Any], value: str) -> bool:
    match term.get("operator"):
        case "In":
            return value in term.get("values", ())
        case "NotIn":
            return value not in term.get("values", ())
        case "DoesNotExist":
            return not value
    return bool(value)


def _crosses_namespaces(spec: Mapping[str, Any]) -> bool:
    affinity = spec.get("affinity", {})
    for name in ("podAffinity", "podAntiAffinity"):
        part = affinity.get(name, {})
        terms = list(part.get("requiredDuringSchedulingIgnoredDuringExecution", ()))
        terms += [
            one.get("podAffinityTerm", {}) for one in part.get("preferredDuringSchedulingIgnoredDuringExecution", ())
        ]
        if any(term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms):
            return True
    return False


def text(name: str, value: int) -> str:
    """An amount as a quantity: sizes that are whole kibibytes in powers of two, everything else in decimals."""
    size = "memory" in name or "storage" in name.rpartition("/")[2] or "hugepages" in name
    return quantity.render(value, "binary" if size and value % (1024 * quantity.NANO) == 0 else "decimal")
