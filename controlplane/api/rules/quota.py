"""Names of what a ResourceQuota counts, and its scopes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api import names, quantity
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, invalid_each, required
from controlplane.api.rules.numbers import whole_quantity

COMPUTE = frozenset(
    (
        "cpu",
        "memory",
        "ephemeral-storage",
        "requests.cpu",
        "requests.memory",
        "requests.ephemeral-storage",
        "limits.cpu",
        "limits.memory",
        "limits.ephemeral-storage",
    )
)
COUNTED = frozenset(
    (
        "pods",
        "services",
        "replicationcontrollers",
        "resourcequotas",
        "secrets",
        "configmaps",
        "persistentvolumeclaims",
        "services.nodeports",
        "services.loadbalancers",
    )
)
STANDARD = COMPUTE | COUNTED | {"storage", "requests.storage"}
"""Names without a domain that a quota may have."""

TERMINATING, NOT_TERMINATING = "Terminating", "NotTerminating"
BEST_EFFORT, NOT_BEST_EFFORT = "BestEffort", "NotBestEffort"
PRIORITY, CROSS_NAMESPACE = "PriorityClass", "CrossNamespacePodAffinity"
ATTRIBUTES_CLASS = "VolumeAttributesClass"
SCOPES = frozenset(
    (TERMINATING, NOT_TERMINATING, BEST_EFFORT, NOT_BEST_EFFORT, PRIORITY, CROSS_NAMESPACE, ATTRIBUTES_CLASS)
)
_POD_SCOPES = SCOPES - {BEST_EFFORT, ATTRIBUTES_CLASS}
_CONFLICTS = ({BEST_EFFORT, NOT_BEST_EFFORT}, {TERMINATING, NOT_TERMINATING})

Fields = Mapping[str, Any]


def validate_amounts(amounts: Mapping[str, str], path: str) -> list[FieldError]:
    """Every error in a map of what is counted to how much there may be."""
    errors: list[FieldError] = []
    for name, value in amounts.items():
        place = f"{path}[{name}]"
        errors += invalid_each(place, name, names.label_key(name))
        if "/" not in name and name not in STANDARD and not _is_huge_pages(name):
            errors.append(invalid(place, name, "must be a standard resource for quota"))
        if name in COUNTED:
            errors += whole_quantity(value, place)
        elif quantity.nanos(value) < 0:
            errors.append(invalid(place, value, names.NON_NEGATIVE))
    return errors


def _is_huge_pages(name: str) -> bool:
    return name.removeprefix("requests.").startswith("hugepages-")


def validate_scopes(scopes: Iterable[str], amounts: Iterable[str], path: str) -> list[FieldError]:
    """Every error in `spec.scopes` of a quota for `amounts`."""
    given, amounts = list(scopes), list(amounts)
    errors: list[FieldError] = []
    for scope in given:
        if scope not in SCOPES:
            errors.append(invalid(path, given, "unsupported scope"))
        errors += [
            invalid(path, given, "unsupported scope applied to resource")
            for name in amounts
            if scope in SCOPES and name in STANDARD and not applies(scope, name)
        ]
    if any(pair <= set(given) for pair in _CONFLICTS):
        errors.append(invalid(path, given, "conflicting scopes"))
    return errors


def applies(scope: str, name: str) -> bool:
    """Whether a quota of that scope may count `name`."""
    if scope == BEST_EFFORT:
        return name == "pods"
    if scope == ATTRIBUTES_CLASS:
        return name in ("persistentvolumeclaims", "requests.storage") or "storageclass" in name
    return scope in _POD_SCOPES and (name == "pods" or name in COMPUTE or _is_huge_pages(name))


def validate_scope_selector(selector: Fields, amounts: Iterable[str], path: str) -> list[FieldError]:
    """Every error in `spec.scopeSelector` of a quota for `amounts`."""
    amounts = list(amounts)
    terms = selector.get("matchExpressions", ())
    place = f"{path}.matchExpressions"
    errors: list[FieldError] = []
    for term in terms:
        scope, operator, values = term.get("scopeName", ""), term.get("operator", ""), term.get("values", ())
        if scope not in SCOPES:
            errors.append(invalid(f"{place}.scopeName", scope, "unsupported scope"))
        errors += [
            invalid(place, selector, "unsupported scope applied to resource")
            for name in amounts
            if scope in SCOPES and name in STANDARD and not applies(scope, name)
        ]
        if scope not in (PRIORITY, ATTRIBUTES_CLASS) and operator != "Exists":
            text = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, "
            text += "ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
            text += "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
            errors.append(invalid(f"{place}.operator", operator, text))
        if operator in ("In", "NotIn") and not values:
            text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
            errors.append(required(f"{place}.values", text))
        elif operator in ("Exists", "DoesNotExist") and values:
            text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
            errors.append(invalid(f"{place}.values", list(values), text))
        elif operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            errors.append(invalid(f"{place}.operator", operator, "not a valid selector operator"))
    if any(pair <= {term.get("scopeName") for term in terms} for pair in _CONFLICTS):
        errors.append(invalid(place, list(terms), "conflicting scopes"))
    return errors
