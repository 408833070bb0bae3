"""What webhooks and admission policies match: rules of operations and resources, selectors, conditions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, invalid, not_supported, required
from controlplane.api.selectors import validate_selector

Fields = dict[str, Any]

OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
FAILURE_POLICIES = ("Fail", "Ignore")
MATCH_POLICIES = ("Equivalent", "Exact")
MOST_CONDITIONS = 64


def default_rules(rules: Sequence[Fields]) -> None:
    """A rule is about objects of every scope."""
    for rule in rules:
        rule.setdefault("scope", "*")


def validate_rule(rule: Fields, path: str) -> list[FieldError]:
    """Every error in one rule of operations and resources."""
    errors: list[FieldError] = []
    for name in ("operations", "apiGroups", "apiVersions", "resources"):
        values = rule.get(name, [])
        if not values:
            errors.append(required(f"{path}.{name}"))
        elif len(values) > 1 and "*" in values:
            text = "if '*' is present, must not specify other "
            shown = {"apiGroups": "API groups", "apiVersions": "API versions"}.get(name, name)
            if name != "resources":
                errors.append(invalid(f"{path}.{name}", values, text + shown))
    errors += [
        not_supported(f"{path}.operations[{index}]", one, OPERATIONS)
        for index, one in enumerate(rule.get("operations", ()))
        if one not in OPERATIONS
    ]
    errors += [
        required(f"{path}.apiVersions[{index}]") for index, one in enumerate(rule.get("apiVersions", ())) if not one
    ]
    errors += _validate_resources(rule.get("resources", []), f"{path}.resources")
    if rule.get("scope", "*") not in SCOPES:
        errors.append(not_supported(f"{path}.scope", rule["scope"], SCOPES))
    return errors


def _validate_resources(resources: Sequence[str], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    whole = [one for one in resources if one.endswith("/*")]
    for index, one in enumerate(resources):
        if not one:
            errors.append(required(f"{path}[{index}]"))
        elif "/" in one and f"{one.partition('/')[0]}/*" in whole and not one.endswith("/*"):
            text = f"if '{one.partition('/')[0]}/*' is present, must not specify {one}"
            errors.append(invalid(f"{path}[{index}]", one, text))
    if "*/*" in resources and len(resources) > 1:
        errors.append(invalid(path, list(resources), "if '*/*' is present, must not specify other resources"))
    elif "*" in resources and any("/" not in one and one != "*" for one in resources):
        text = "if '*' is present, must not specify other resources without subresources"
        errors.append(invalid(path, list(resources), text))
    return errors


def validate_conditions(conditions: Sequence[Fields], path: str) -> list[FieldError]:
    """Every error in `matchConditions`, but for what only an evaluator of CEL could see."""
    errors: list[FieldError] = []
    if len(conditions) > MOST_CONDITIONS:
        errors.append(invalid(path, len(conditions), f"must have at most {MOST_CONDITIONS} items"))
    taken: set[str] = set()
    for index, condition in enumerate(conditions):
        place, name = f"{path}[{index}]", condition.get("name", "")
        if not name:
            errors.append(required(f"{place}.name"))
        if name in taken:
            errors.append(duplicate(f"{place}.name", name))
        taken.add(name)
        if not condition.get("expression", "").strip():
            errors.append(required(f"{place}.expression"))
    return errors


def validate_policies(owner: Fields, path: str) -> list[FieldError]:
    """`failurePolicy`, `matchPolicy` and the two selectors of what matches."""
    errors: list[FieldError] = []
    for name, allowed in (("failurePolicy", FAILURE_POLICIES), ("matchPolicy", MATCH_POLICIES)):
        value = owner.get(name)
        if value is not None and value not in allowed:
            errors.append(not_supported(f"{path}.{name}" if path else name, value, allowed))
    for name in ("namespaceSelector", "objectSelector"):
        if name in owner:
            errors += validate_selector(owner[name], f"{path}.{name}")
    return errors
