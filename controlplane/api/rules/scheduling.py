"""Tolerations, affinity and topology spread: validation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, invalid_each, not_supported, required
from controlplane.api.selectors import validate_selector

EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)

Fields = Mapping[str, Any]


def validate_tolerations(tolerations: Iterable[Fields], path: str) -> list[FieldError]:
    """Every error in `tolerations`."""
    errors: list[FieldError] = []
    for index, one in enumerate(tolerations):
        inner = f"{path}[{index}]"
        key, operator, value = one.get("key", ""), one.get("operator", ""), one.get("value", "")
        if key:
            errors += invalid_each(f"{inner}.key", key, names.label_key(key))
        elif operator != "Exists":
            text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            errors.append(invalid(f"{inner}.operator", operator, text))
        if "tolerationSeconds" in one and one.get("effect") != "NoExecute":
            text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
            errors.append(invalid(f"{inner}.effect", one.get("effect", ""), text))
        if operator in ("Equal", ""):
            errors += invalid_each(f"{inner}.operator", value, names.label_value(value))
        elif operator == "Exists":
            if value:
                errors.append(invalid(f"{inner}.operator", one, "value must be empty when `operator` is 'Exists'"))
        else:
            errors.append(not_supported(f"{inner}.operator", operator, ("Equal", "Exists")))
        if one.get("effect") and one["effect"] not in EFFECTS:
            errors.append(not_supported(f"{inner}.effect", one["effect"], EFFECTS))
    return errors


def validate_affinity(affinity: Fields, path: str) -> list[FieldError]:
    """Every error in `affinity`."""
    errors: list[FieldError] = []
    if "nodeAffinity" in affinity:
        errors += _validate_node_affinity(affinity["nodeAffinity"], f"{path}.nodeAffinity")
    for name in ("podAffinity", "podAntiAffinity"):
        if name not in affinity:
            continue
        for index, term in enumerate(affinity[name].get(_REQUIRED, ())):
            errors += _validate_pod_term(term, f"{path}.{name}.{_REQUIRED}[{index}]")
        for index, weighted in enumerate(affinity[name].get(_PREFERRED, ())):
            inner = f"{path}.{name}.{_PREFERRED}[{index}]"
            errors += _validate_weight(weighted, inner)
            errors += _validate_pod_term(weighted.get("podAffinityTerm", {}), f"{inner}.podAffinityTerm")
    return errors


def _validate_node_affinity(affinity: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    wanted = affinity.get(_REQUIRED)
    if wanted is not None:
        errors += validate_node_selector(wanted, f"{path}.{_REQUIRED}")
    for index, weighted in enumerate(affinity.get(_PREFERRED, ())):
        errors += _validate_weight(weighted, f"{path}.{_PREFERRED}[{index}]")
        errors += _validate_node_term(weighted.get("preference", {}), f"{path}.{_PREFERRED}[{index}].preference")
    return errors


def validate_node_selector(selector: Fields, path: str) -> list[FieldError]:
    """Every error in a node selector, which must have a term."""
    terms = selector.get("nodeSelectorTerms")
    errors = [] if terms else [required(f"{path}.nodeSelectorTerms", "must have at least one node selector term")]
    for index, term in enumerate(terms or ()):
        errors += _validate_node_term(term, f"{path}.nodeSelectorTerms[{index}]")
    return errors


def _validate_node_term(term: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for index, wanted in enumerate(term.get("matchExpressions", ())):
        inner = f"{path}.matchExpressions[{index}]"
        operator, values, key = wanted.get("operator"), wanted.get("values", ()), wanted.get("key", "")
        if operator in ("In", "NotIn"):
            if not values:
                errors.append(required(f"{inner}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
                errors.append(forbidden(f"{inner}.values", text))
        elif operator in ("Gt", "Lt"):
            if len(values) != 1:
                text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
                errors.append(required(f"{inner}.values", text))
        else:
            errors.append(invalid(f"{inner}.operator", operator or "", "not a valid selector operator"))
        errors += invalid_each(f"{inner}.key", key, names.label_key(key))
    return errors


def _validate_weight(weighted: Fields, path: str) -> list[FieldError]:
    weight = weighted.get("weight", 0)
    return [] if 1 <= weight <= 100 else [invalid(f"{path}.weight", weight, "must be in the range 1-100")]


def _validate_pod_term(term: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    for name in ("labelSelector", "namespaceSelector"):
        if name in term:
            errors += validate_selector(term[name], f"{path}.{name}")
    key = term.get("topologyKey", "")
    if not key:
        errors.append(required(f"{path}.topologyKey", "can not be empty"))
    return errors + invalid_each(f"{path}.topologyKey", key, names.label_key(key))


def validate_spread(constraints: Iterable[Fields], path: str) -> list[FieldError]:
    """Every error in `topologySpreadConstraints`."""
    errors: list[FieldError] = []
    for index, one in enumerate(constraints):
        inner = f"{path}[{index}]"
        if one.get("maxSkew", 0) <= 0:
            errors.append(invalid(f"{inner}.maxSkew", one.get("maxSkew", 0), "must be greater than zero"))
        if not one.get("topologyKey"):
            errors.append(required(f"{inner}.topologyKey", "can not be empty"))
        action = one.get("whenUnsatisfiable", "")
        if action not in ("DoNotSchedule", "ScheduleAnyway"):
            errors.append(not_supported(f"{inner}.whenUnsatisfiable", action, ("DoNotSchedule", "ScheduleAnyway")))
        if "labelSelector" in one:
            errors += validate_selector(one["labelSelector"], f"{inner}.labelSelector")
    return errors
