"""Job specs, in Jobs and in the templates of CronJobs: defaults and validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controlplane.api import names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, invalid_each, not_supported, required, too_many
from controlplane.api.rules.numbers import non_negative
from controlplane.api.rules.podspec import default_template, validate_template

Fields = dict[str, Any]

DEFAULT_BACKOFF_LIMIT = 6
MOST_INDEXED = 100_000
MOST_RULES = 20
MOST_VALUES = 255

NOT_YET = ("backoffLimitPerIndex", "maxFailedIndexes", "scheduling", "successPolicy")
"""Fields that are refused: a Job that runs without them would run otherwise than it asks to."""


def default_job_spec(spec: Fields) -> None:
    """Fills in what a Job's spec does not say."""
    default_template(spec.setdefault("template", {}))
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    spec.setdefault("backoffLimit", DEFAULT_BACKOFF_LIMIT)
    spec.setdefault("completionMode", "NonIndexed")
    spec.setdefault("suspend", False)
    policy = spec.get("podFailurePolicy")
    spec.setdefault("podReplacementPolicy", "Failed" if policy else "TerminatingOrFailed")
    for rule in (policy or {}).get("rules", ()):
        for pattern in rule.get("onPodConditions", ()):
            if not pattern.get("status"):
                pattern["status"] = "True"


def validate_job_spec(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    """Every error in a defaulted Job spec, but for the selector."""
    fields = ("parallelism", "completions", "activeDeadlineSeconds", "backoffLimit", "ttlSecondsAfterFinished")
    errors = non_negative(dict(spec), path, *fields)
    for name in NOT_YET:
        if spec.get(name) is not None:
            errors.append(forbidden(f"{path}.{name}", "not supported by this version of netsim"))
    manager = spec.get("managedBy")
    if manager:
        errors += invalid_each(f"{path}.managedBy", manager, names.label_key(manager))
    errors += _validate_mode(spec, path)
    policy = spec.get("podFailurePolicy")
    if policy:
        errors += _validate_policy(policy, spec, f"{path}.podFailurePolicy")
    errors += _validate_replacement(spec, path)
    return errors + validate_template(spec["template"], f"{path}.template") + _validate_restarts(spec, path)


def _validate_mode(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    mode = spec["completionMode"]
    if mode not in ("NonIndexed", "Indexed"):
        return [not_supported(f"{path}.completionMode", mode, ("Indexed", "NonIndexed"))]
    if mode == "NonIndexed":
        return []
    errors: list[FieldError] = []
    if "completions" not in spec:
        errors.append(required(f"{path}.completions", "when completion mode is Indexed"))
    if spec["parallelism"] > MOST_INDEXED:
        text = f"must be less than or equal to {MOST_INDEXED} when completion mode is Indexed"
        errors.append(invalid(f"{path}.parallelism", spec["parallelism"], text))
    return errors


def _validate_replacement(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    policy = spec["podReplacementPolicy"]
    allowed = ("Failed",) if spec.get("podFailurePolicy") else ("Failed", "TerminatingOrFailed")
    return [] if policy in allowed else [not_supported(f"{path}.podReplacementPolicy", policy, allowed)]


def _validate_restarts(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    policy, inner = spec["template"]["spec"]["restartPolicy"], f"{path}.template.spec.restartPolicy"
    if policy == "Always":
        return [required(inner, 'valid values: "OnFailure", "Never"')]
    if spec.get("podFailurePolicy") and policy == "OnFailure":
        return [invalid(inner, policy, 'only "Never" is supported when podFailurePolicy is specified')]
    return []


def _validate_policy(policy: Mapping[str, Any], spec: Mapping[str, Any], path: str) -> list[FieldError]:
    rules = policy.get("rules", ())
    if len(rules) > MOST_RULES:
        return [too_many(f"{path}.rules", len(rules), MOST_RULES)]
    pod = spec["template"]["spec"]
    containers = {one.get("name") for field in ("containers", "initContainers") for one in pod.get(field, ())}
    errors: list[FieldError] = []
    for index, rule in enumerate(rules):
        errors += _validate_rule(rule, containers, f"{path}.rules[{index}]")
    return errors


def _validate_rule(rule: Mapping[str, Any], containers: set[Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    action = rule.get("action", "")
    if not action:
        errors.append(required(f"{path}.action", 'valid values: "Count", "FailIndex", "FailJob", "Ignore"'))
    elif action == "FailIndex":
        errors.append(invalid(f"{path}.action", action, "requires the backoffLimitPerIndex to be set"))
    elif action not in ("Count", "FailJob", "Ignore"):
        errors.append(not_supported(f"{path}.action", action, ("Count", "FailIndex", "FailJob", "Ignore")))
    codes, conditions = rule.get("onExitCodes"), rule.get("onPodConditions")
    if codes is not None:
        errors += _validate_codes(codes, containers, f"{path}.onExitCodes")
    for index, pattern in enumerate(conditions or ()):
        inner = f"{path}.onPodConditions[{index}]"
        errors += invalid_each(f"{inner}.type", pattern.get("type", ""), names.label_key(pattern.get("type", "")))
        if pattern["status"] not in ("True", "False", "Unknown"):
            errors.append(not_supported(f"{inner}.status", pattern["status"], ("False", "True", "Unknown")))
    if codes is not None and conditions:
        text = "specifying both OnExitCodes and OnPodConditions is not supported"
        errors.append(invalid(path, None, text))
    if codes is None and not conditions:
        errors.append(invalid(path, None, "specifying one of OnExitCodes and OnPodConditions is required"))
    return errors


def _validate_codes(codes: Mapping[str, Any], containers: set[Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    operator, values = codes.get("operator", ""), codes.get("values", ())
    if operator not in ("In", "NotIn"):
        errors.append(not_supported(f"{path}.operator", operator, ("In", "NotIn")))
    name = codes.get("containerName")
    if name is not None and name not in containers:
        text = "must be one of the container or initContainer names in the pod template"
        errors.append(invalid(f"{path}.containerName", name, text))
    if not values:
        errors.append(invalid(f"{path}.values", list(values), "at least one value is required"))
    elif len(values) > MOST_VALUES:
        errors.append(too_many(f"{path}.values", len(values), MOST_VALUES))
    if operator == "In" and 0 in values:
        errors.append(invalid(f"{path}.values[{list(values).index(0)}]", 0, "must not be 0 for the In operator"))
    if list(values) != sorted(values):
        errors.append(invalid(f"{path}.values", list(values), "must be ordered"))
    return errors
