"""Metrics and behaviour of HorizontalPodAutoscalers: defaults and validation."""

from __future__ import annotations

from typing import Any

from controlplane.api import names, quantity
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, invalid_each, not_supported, required
from controlplane.api.selectors import validate_selector

Fields = dict[str, Any]

DEFAULT_CPU_PERCENT = 80
LONGEST_WINDOW, LONGEST_PERIOD = 3600, 1800
SOURCES = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
"""Type of a metric to the field that describes it."""

_POLICIES = ("Percent", "Pods")
_SELECTIONS = ("Disabled", "Max", "Min")
_UP = {
    "stabilizationWindowSeconds": 0,
    "selectPolicy": "Max",
    "policies": [
        {"type": "Pods", "value": 4, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ],
}
_DOWN = {"selectPolicy": "Max", "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}]}


def default_metrics(spec: Fields) -> None:
    """Without metrics the pods' use of CPU is kept at 80 percent."""
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": DEFAULT_CPU_PERCENT}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]


def default_behavior(spec: Fields) -> None:
    """A behaviour that is given says both how to grow and how to shrink."""
    behavior = spec.get("behavior")
    if behavior is None:
        return
    for name, defaults in (("scaleUp", _UP), ("scaleDown", _DOWN)):
        rules = behavior.setdefault(name, {})
        for key, value in defaults.items():
            if not rules.get(key) and key not in rules:
                rules[key] = [dict(one) for one in value] if isinstance(value, list) else value


def validate_metrics(metrics: list[Fields], path: str) -> list[FieldError]:
    """Every error in `spec.metrics`."""
    errors: list[FieldError] = []
    for index, metric in enumerate(metrics):
        errors += _validate_metric(metric, f"{path}[{index}]")
    return errors


def _validate_metric(metric: Fields, path: str) -> list[FieldError]:
    type_ = metric.get("type", "")
    if not type_:
        return [required(f"{path}.type", "must specify a metric source type")]
    wanted = SOURCES.get(type_)
    if wanted is None:
        return [not_supported(f"{path}.type", type_, sorted(SOURCES))]
    errors: list[FieldError] = []
    if wanted not in metric:
        errors.append(required(f"{path}.{wanted}", "must populate information for the given metric source"))
    errors += [
        forbidden(f"{path}.{name}", "must populate the given metric source only")
        for name in SOURCES.values()
        if name in metric and name != wanted
    ]
    return errors if wanted not in metric else errors + _CHECKS[type_](metric[wanted], f"{path}.{wanted}")


def _validate_resource(source: Fields, path: str) -> list[FieldError]:
    errors = [] if source.get("name") else [required(f"{path}.name", "must specify a resource name")]
    target = source.get("target", {})
    errors += _validate_target(target, f"{path}.target")
    has_share, has_value = "averageUtilization" in target, "averageValue" in target
    if not has_share and not has_value:
        text = "must set either a target raw value or a target utilization"
        errors.append(required(f"{path}.target.averageUtilization", text))
    if has_share and has_value:
        text = "may not set both a target raw value and a target utilization"
        errors.append(forbidden(f"{path}.target.averageValue", text))
    return errors


def _validate_container(source: Fields, path: str) -> list[FieldError]:
    errors = [] if source.get("container") else [required(f"{path}.container", "must specify a container")]
    return errors + _validate_resource(source, path)


def _validate_pods(source: Fields, path: str) -> list[FieldError]:
    errors = _validate_identifier(source.get("metric", {}), f"{path}.metric")
    target = source.get("target", {})
    errors += _validate_target(target, f"{path}.target")
    if "averageValue" not in target:
        errors.append(required(f"{path}.target.averageValue", "must specify a positive target averageValue"))
    return errors


def _validate_object(source: Fields, path: str) -> list[FieldError]:
    errors = validate_reference(source.get("describedObject", {}), f"{path}.describedObject")
    errors += _validate_identifier(source.get("metric", {}), f"{path}.metric")
    target = source.get("target", {})
    errors += _validate_target(target, f"{path}.target")
    if "value" not in target and "averageValue" not in target:
        text = "must set either a target value or averageValue"
        errors.append(required(f"{path}.target.averageValue", text))
    return errors


def _validate_external(source: Fields, path: str) -> list[FieldError]:
    errors = _validate_identifier(source.get("metric", {}), f"{path}.metric")
    target = source.get("target", {})
    errors += _validate_target(target, f"{path}.target")
    if "value" not in target and "averageValue" not in target:
        text = "must set either a target value for metric or a per-pod target"
        errors.append(required(f"{path}.target.averageValue", text))
    if "value" in target and "averageValue" in target:
        text = "may not set both a target value for metric and a per-pod target"
        errors.append(forbidden(f"{path}.target.value", text))
    return errors


def _validate_identifier(metric: Fields, path: str) -> list[FieldError]:
    name = metric.get("name", "")
    errors = invalid_each(f"{path}.name", name, names.path_segment(name))
    if not name:
        errors = [required(f"{path}.name", "must specify a metric name")]
    return errors + (validate_selector(metric["selector"], f"{path}.selector") if "selector" in metric else [])


def _validate_target(target: Fields, path: str) -> list[FieldError]:
    type_ = target.get("type", "")
    errors: list[FieldError] = []
    if not type_:
        errors.append(required(f"{path}.type", "must specify a metric target type"))
    elif type_ not in ("Utilization", "Value", "AverageValue"):
        errors.append(invalid(f"{path}.type", type_, "must be either Utilization, Value, or AverageValue"))
    for name in ("value", "averageValue"):
        if name in target and quantity.nanos(target[name]) <= 0:
            errors.append(invalid(f"{path}.{name}", target[name], "must be positive"))
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        errors.append(invalid(f"{path}.averageUtilization", share, "must be greater than 0"))
    return errors


def validate_reference(reference: Fields, path: str) -> list[FieldError]:
    """Every error in a reference to what is scaled, or described by a metric."""
    errors: list[FieldError] = []
    for name in ("kind", "name"):
        value = reference.get(name, "")
        if not value:
            errors.append(required(f"{path}.{name}"))
        else:
            errors += invalid_each(f"{path}.{name}", value, names.path_segment(value))
    return errors


def validate_behavior(behavior: Fields, path: str) -> list[FieldError]:
    """Every error in `spec.behavior`."""
    errors: list[FieldError] = []
    for name in ("scaleUp", "scaleDown"):
        if name in behavior:
            errors += _validate_rules(behavior[name], f"{path}.{name}")
    return errors


def _validate_rules(rules: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    window = rules.get("stabilizationWindowSeconds")
    if window is not None and window < 0:
        errors.append(invalid(f"{path}.stabilizationWindowSeconds", window, "must be greater than or equal to zero"))
    if window is not None and window > LONGEST_WINDOW:
        text = f"must be less than or equal to {LONGEST_WINDOW}"
        errors.append(invalid(f"{path}.stabilizationWindowSeconds", window, text))
    if rules.get("selectPolicy") is not None and rules["selectPolicy"] not in _SELECTIONS:
        errors.append(not_supported(f"{path}.selectPolicy", rules["selectPolicy"], _SELECTIONS))
    if not rules.get("policies"):
        errors.append(required(f"{path}.policies", "must specify at least one Policy"))
    for index, policy in enumerate(rules.get("policies", ())):
        errors += _validate_policy(policy, f"{path}.policies[{index}]")
    return errors


def _validate_policy(policy: Fields, path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    if policy.get("type") not in _POLICIES:
        errors.append(not_supported(f"{path}.type", policy.get("type", ""), _POLICIES))
    for name in ("value", "periodSeconds"):
        if policy.get(name, 0) <= 0:
            errors.append(invalid(f"{path}.{name}", policy.get(name, 0), names.POSITIVE))
    if policy.get("periodSeconds", 0) > LONGEST_PERIOD:
        text = f"must be less than or equal to {LONGEST_PERIOD}"
        errors.append(invalid(f"{path}.periodSeconds", policy["periodSeconds"], text))
    return errors


_CHECKS = {
    "ContainerResource": _validate_container,
    "External": _validate_external,
    "Object": _validate_object,
    "Pods": _validate_pods,
    "Resource": _validate_resource,
}
