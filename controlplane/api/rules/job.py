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

NOT_YET = ("scheduling",)
"""Fields that are refused: a Job that runs without them would run otherwise than it asks to."""
NO_LIMIT = 2**31 - 1
"""The backoffLimit of a Job that limits the failures of each index instead."""


def default_job_spec(spec: Fields) -> None:
    """Fills in what a Job's spec does not say."""
    default_template(spec.setdefault("template", {}))
    if "completions" not in spec and "parallelism" not in spec:
        spec["completions"] = 1
    spec.setdefault("parallelism", 1)
    per_index = spec.get("backoffLimitPerIndex") is not None
    spec.setdefault("backoffLimit", NO_LIMIT if per_index else DEFAULT_BACKOFF_LIMIT)
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
    errors = non_negative(dict(spec), path, *fields, "backoffLimitPerIndex", "maxFailedIndexes")
    for name in NOT_YET:
        if spec.get(name) is not None:
            errors.append(forbidden(f"{path}.{name}", "not supported by this version of netsim"))
    manager = spec.get("managedBy")
    if manager:
        errors += invalid_each(f"{path}.managedBy", manager, names.label_key(manager))
    errors += _validate_mode(spec, path) + _validate_per_index(spec, path)
    if spec.get("successPolicy") is not None:
        errors += _validate_success(spec["successPolicy"], spec, f"{path}.successPolicy")
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


def _validate_per_index(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    limit, most = spec.get("backoffLimitPerIndex"), spec.get("maxFailedIndexes")
    errors: list[FieldError] = []
    if limit is None and most is not None:
        errors.append(required(f"{path}.backoffLimitPerIndex", "when maxFailedIndexes is specified"))
    if spec["completionMode"] != "Indexed":
        given = (("backoffLimitPerIndex", limit), ("maxFailedIndexes", most))
        text = "requires indexed completion mode"
        return errors + [invalid(f"{path}.{name}", value, text) for name, value in given if value is not None]
    completions = spec.get("completions")
    if most is not None and completions is not None and most > completions:
        errors.append(invalid(f"{path}.maxFailedIndexes", most, "must be less than or equal to completions"))
    return errors


def _validate_success(policy: Mapping[str, Any], spec: Mapping[str, Any], path: str) -> list[FieldError]:
    if spec["completionMode"] != "Indexed":
        return [invalid(path, dict(policy), "requires indexed completion mode")]
    rules = policy.get("rules", ())
    if not rules:
        return [required(f"{path}.rules", "at least one rules must be specified in the successPolicy")]
    if len(rules) > MOST_RULES:
        return [too_many(f"{path}.rules", len(rules), MOST_RULES)]
    errors: list[FieldError] = []
    for index, rule in enumerate(rules):
        errors += _validate_success_rule(rule, spec.get("completions", 0), f"{path}.rules[{index}]")
    return errors


def _validate_success_rule(rule: Mapping[str, Any], completions: int, path: str) -> list[FieldError]:
    count, text = rule.get("succeededCount"), rule.get("succeededIndexes")
    if count is None and text is None:
        return [required(path, "at least one of succeededCount or succeededIndexes must be specified")]
    errors: list[FieldError] = []
    named = None
    if text is not None:
        named = parse_indexes(text)
        if named is None or any(index >= completions for index in named):
            problem = "must be ordered, non-overlapping indexes below the number of completions, as 0,2-4"
            errors.append(invalid(f"{path}.succeededIndexes", text, f"error parsing succeededIndexes: {problem}"))
    if count is not None:
        most = completions if named is None else len(named)
        what = "the number of specified completions" if named is None else "the number of indexes in succeededIndexes"
        if count < 1:
            errors.append(invalid(f"{path}.succeededCount", count, "must be greater than or equal to 1"))
        elif count > most:
            errors.append(invalid(f"{path}.succeededCount", count, f"must be less than or equal to {most} ({what})"))
    return errors


def parse_indexes(text: str) -> set[int] | None:
    """The numbers in a text such as "1,3-5,7", which have to go up; None if it is no such text."""
    found: list[int] = []
    for part in filter(None, text.split(",")):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            return None
        start, end = int(first), int(last or first)
        if end < start or end > MOST_INDEXED or (found and start <= found[-1]):
            return None
        found.extend(range(start, end + 1))
    return set(found)


def _validate_replacement(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    policy = spec["podReplacementPolicy"]
    allowed = ("Failed",) if spec.get("podFailurePolicy") else ("Failed", "TerminatingOrFailed")
    return [] if policy in allowed else [not_supported(f"{path}.podReplacementPolicy", policy, allowed)]


def _validate_restarts(spec: Mapping[str, Any], path: str) -> list[FieldError]:
    policy, inner = spec["template"]["spec"]["restartPolicy"], f"{path}.template.spec.restartPolicy"
    if policy == "Always":
        return [required(inner, 'valid values: "OnFailure", "Never"')]
    for field in ("podFailurePolicy", "backoffLimitPerIndex"):
        if spec.get(field) is not None and policy == "OnFailure":
            return [invalid(inner, policy, f'only "Never" is supported when {field} is specified')]
    return []


def _validate_policy(policy: Mapping[str, Any], spec: Mapping[str, Any], path: str) -> list[FieldError]:
    rules = policy.get("rules", ())
    if len(rules) > MOST_RULES:
        return [too_many(f"{path}.rules", len(rules), MOST_RULES)]
    pod = spec["template"]["spec"]
    containers = {one.get("name") for field in ("containers", "initContainers") for one in pod.get(field, ())}
    errors: list[FieldError] = []
    for index, rule in enumerate(rules):
        inner = f"{path}.rules[{index}]"
        if rule.get("action") == "FailIndex" and spec.get("backoffLimitPerIndex") is None:
            text = "requires the backoffLimitPerIndex to be set"
            errors.append(invalid(f"{inner}.action", rule["action"], text))
        errors += _validate_rule(rule, containers, inner)
    return errors


def _validate_rule(rule: Mapping[str, Any], containers: set[Any], path: str) -> list[FieldError]:
    errors: list[FieldError] = []
    action = rule.get("action", "")
    if not action:
        errors.append(required(f"{path}.action", 'valid values: "Count", "FailIndex", "FailJob", "Ignore"'))
    elif action not in ("Count", "FailIndex", "FailJob", "Ignore"):
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
