"""Admission policies in CEL, validating and mutating, and their bindings: defaults and validation.

Expressions are taken as text: this server has no evaluator that could tell whether they make sense.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import duplicate, invalid, invalid_each, not_supported, required
from controlplane.api.rules import matching
from controlplane.api.selectors import validate_selector
from controlplane.api.types import Object

Fields = dict[str, Any]

ACTIONS = ("Audit", "Deny", "Warn")
MISSING = ("Allow", "Deny")
REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")


def default_matches(found: Fields) -> None:
    """What matches: equivalent versions of all objects in all namespaces, where nothing else is said."""
    found.setdefault("matchPolicy", "Equivalent")
    found.setdefault("namespaceSelector", {})
    found.setdefault("objectSelector", {})
    for name in ("resourceRules", "excludeResourceRules"):
        matching.default_rules(found.get(name, ()))


def default_policy(obj: Object) -> None:
    """Fills in what a policy does not say."""
    spec = obj.setdefault("spec", {})
    spec.setdefault("failurePolicy", "Fail")
    if "matchConstraints" in spec:
        default_matches(spec["matchConstraints"])


def default_binding(obj: Object) -> None:
    """Fills in what a binding does not say."""
    found = obj.setdefault("spec", {}).get("matchResources")
    if found is not None:
        default_matches(found)


def validate_policy(spec: Fields) -> list[FieldError]:
    """Every error that policies of both kinds may have."""
    errors = matching.validate_policies({"failurePolicy": spec["failurePolicy"]}, "spec")
    kind = spec.get("paramKind")
    if kind is not None:
        errors += [required(f"spec.paramKind.{name}") for name in ("apiVersion", "kind") if not kind.get(name)]
    constraints = spec.get("matchConstraints")
    if constraints is None:
        errors.append(required("spec.matchConstraints"))
    else:
        if not constraints.get("resourceRules"):
            errors.append(required("spec.matchConstraints.resourceRules"))
        errors += validate_matches(constraints, "spec.matchConstraints")
    for index, variable in enumerate(spec.get("variables", ())):
        place, name = f"spec.variables[{index}]", variable.get("name", "")
        if not name:
            errors.append(required(f"{place}.name", "name is not specified"))
        elif not name.isidentifier():
            errors.append(invalid(f"{place}.name", name, "name is not a valid CEL identifier"))
        errors += expression(variable, f"{place}.expression")
    return errors + matching.validate_conditions(spec.get("matchConditions", ()), "spec.matchConditions")


def validate_matches(found: Fields, path: str) -> list[FieldError]:
    """Every error in what a policy or binding matches."""
    errors = matching.validate_policies(found, path)
    for name in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(found.get(name, ())):
            errors += matching.validate_rule(rule, f"{path}.{name}[{index}]")
    return errors


def expression(owner: Fields, path: str) -> list[FieldError]:
    """An expression must be there."""
    text = owner.get("expression", "")
    return [] if text.strip() else [required(path, "expression is not specified")]


def validate_steps(spec: Fields) -> list[FieldError]:
    """What a validating policy does: at least one validation or audit annotation."""
    if not spec.get("validations") and not spec.get("auditAnnotations"):
        text = "validations or auditAnnotations must contain at least one item"
        return [required("spec.validations", text), required("spec.auditAnnotations", text)]
    errors: list[FieldError] = []
    for index, step in enumerate(spec.get("validations", ())):
        place = f"spec.validations[{index}]"
        errors += expression(step, f"{place}.expression")
        if "\n" in step.get("message", "").strip():
            errors.append(invalid(f"{place}.message", step["message"], "message must not contain line breaks"))
        reason = step.get("reason")
        if reason is not None and reason not in REASONS:
            errors.append(not_supported(f"{place}.reason", reason, REASONS))
    keys: set[str] = set()
    for index, note in enumerate(spec.get("auditAnnotations", ())):
        place, key = f"spec.auditAnnotations[{index}]", note.get("key", "")
        if key in keys:
            errors.append(duplicate(f"{place}.key", key))
        keys.add(key)
        errors += invalid_each(f"{place}.key", key, names.label_key(key))
        if not note.get("valueExpression", "").strip():
            errors.append(required(f"{place}.valueExpression", "valueExpression is not specified"))
    return errors


def validate_mutations(spec: Fields) -> list[FieldError]:
    """What a mutating policy does: at least one mutation."""
    mutations = spec.get("mutations", ())
    errors = [] if mutations else [required("spec.mutations", "mutations must contain at least one item")]
    for index, step in enumerate(mutations):
        place, type_ = f"spec.mutations[{index}]", step.get("patchType", "")
        field = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}.get(type_)
        if field is None:
            errors.append(not_supported(f"{place}.patchType", type_, ("ApplyConfiguration", "JSONPatch")))
        elif field not in step:
            errors.append(required(f"{place}.{field}", f"must be specified when patchType is {type_}"))
        else:
            errors += expression(step[field], f"{place}.{field}.expression")
    again = spec.get("reinvocationPolicy", "")
    if not again:
        errors.append(required("spec.reinvocationPolicy"))
    elif again not in ("IfNeeded", "Never"):
        errors.append(not_supported("spec.reinvocationPolicy", again, ("IfNeeded", "Never")))
    return errors


def validate_binding(spec: Fields) -> list[FieldError]:
    """Every error that bindings of both kinds may have."""
    name = spec.get("policyName", "")
    errors = (
        invalid_each("spec.policyName", name, names.dns1123_subdomain(name)) if name else [required("spec.policyName")]
    )
    parameter = spec.get("paramRef")
    if parameter is not None:
        errors += _validate_parameter(parameter, "spec.paramRef")
    return errors + validate_matches(spec.get("matchResources", {}), "spec.matchResources")


def _validate_parameter(reference: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    name, selector = reference.get("name"), reference.get("selector")
    if name and selector is not None:
        text = "name and selector are mutually exclusive"
        errors += [invalid(f"{path}.name", name, text), invalid(f"{path}.selector", selector, text)]
    elif not name and selector is None:
        errors.append(required(path, "one of name or selector must be specified"))
    if selector is not None:
        errors += validate_selector(selector, f"{path}.selector")
    action = reference.get("parameterNotFoundAction")
    if action is None:
        errors.append(required(f"{path}.parameterNotFoundAction"))
    elif action not in MISSING:
        errors.append(not_supported(f"{path}.parameterNotFoundAction", action, MISSING))
    return errors


def validate_actions(actions: Iterable[str]) -> list[FieldError]:
    """What happens when a validation fails: something, and nothing twice."""
    given, place = list(actions), "spec.validationActions"
    if not given:
        return [required(place, "at least one validation action is required")]
    errors: list[FieldError] = []
    for index, action in enumerate(given):
        if action not in ACTIONS:
            errors.append(not_supported(f"{place}[{index}]", action, ACTIONS))
        if action in given[:index]:
            errors.append(duplicate(f"{place}[{index}]", action))
    if {"Deny", "Warn"} <= set(given):
        text = (
            "must not contain both Deny and Warn (repeating the same validation failure information in the API"
            " response and headers serves no purpose)"
        )
        errors.append(invalid(place, given, text))
    return errors
