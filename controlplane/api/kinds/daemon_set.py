"""DaemonSets."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid, not_supported, required
from controlplane.api.printing import workloads
from controlplane.api.rules import workload
from controlplane.api.rules.numbers import count_or_percent, non_negative
from controlplane.api.rules.podspec import default_template
from controlplane.api.selectors import validate_selector
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import template_warnings

TEMPLATE_GENERATION = "deprecated.daemonset.template.generation"
"""The annotation in which apps/v1 carries the number of the template, for old clients."""

DEFAULT_HISTORY = 10


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    default_template(spec.setdefault("template", {}))
    strategy = spec.setdefault("updateStrategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", 1)
        rolling.setdefault("maxSurge", 0)
    spec.setdefault("revisionHistoryLimit", DEFAULT_HISTORY)


def _prepare_create(obj: Object) -> None:
    workload.prepare_create(obj)
    obj["status"] = {
        "currentNumberScheduled": 0,
        "desiredNumberScheduled": 0,
        "numberMisscheduled": 0,
        "numberReady": 0,
    }
    _set_template_generation(obj, 1)


def _prepare_update(new: Object, old: Object) -> None:
    workload.prepare_update(new, old)
    generation = _template_generation(old)
    _set_template_generation(new, generation + (new["spec"]["template"] != old["spec"]["template"]))


def _template_generation(obj: Object) -> int:
    text = obj["metadata"].get("annotations", {}).get(TEMPLATE_GENERATION, "")
    return int(text) if text.isdigit() else 1


def _set_template_generation(obj: Object, generation: int) -> None:
    metadata = obj["metadata"]
    metadata["annotations"] = {**metadata.get("annotations", {}), TEMPLATE_GENERATION: str(generation)}


def _validate_spec(spec: dict[str, Any]) -> list[FieldError]:
    selector = spec.get("selector")
    errors = validate_selector(selector, "spec.selector") if selector else []
    if selector is not None and not selector.get("matchLabels") and not selector.get("matchExpressions"):
        errors.append(invalid("spec.selector", selector, "empty selector is invalid for daemonset"))
    errors += workload.validate_template_for(spec, "DaemonSet")
    errors += non_negative(spec, "spec", "minReadySeconds")
    errors += _validate_strategy(spec["updateStrategy"], "spec.updateStrategy")
    return errors + non_negative(spec, "spec", "revisionHistoryLimit")


def _validate_strategy(strategy: dict[str, Any], path: str) -> list[FieldError]:
    if strategy["type"] == "OnDelete":
        return []
    if strategy["type"] != "RollingUpdate":
        return [not_supported(f"{path}.type", strategy["type"], ("OnDelete", "RollingUpdate"))]
    inner = f"{path}.rollingUpdate"
    unavailable, surge = strategy["rollingUpdate"]["maxUnavailable"], strategy["rollingUpdate"]["maxSurge"]
    errors = count_or_percent(unavailable, f"{inner}.maxUnavailable") + count_or_percent(surge, f"{inner}.maxSurge")
    if errors:
        return errors
    for name, value in (("maxUnavailable", unavailable), ("maxSurge", surge)):
        if isinstance(value, str) and int(value.removesuffix("%")) > 100:
            errors.append(invalid(f"{inner}.{name}", value, "must not be greater than 100%"))
    if _is_some(unavailable) and _is_some(surge):
        errors.append(invalid(f"{inner}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    if not _is_some(unavailable) and not _is_some(surge):
        errors.append(required(f"{inner}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return errors


def _is_some(value: int | str) -> bool:
    return value != 0 if isinstance(value, int) else int(value.removesuffix("%")) != 0


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain) + _validate_spec(obj["spec"])


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new["spec"] == old["spec"]:
        return errors
    return errors + _validate_spec(new["spec"]) + workload.validate_same_selector(new, old)


DAEMON_SET = Kind(
    group="apps",
    version="v1",
    name="DaemonSet",
    plural="daemonsets",
    definition="io.k8s.api.apps.v1.DaemonSet",
    short_names=("ds",),
    categories=("all",),
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=_prepare_update,
        prepare_status_update=workload.prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        warnings=template_warnings,
        columns=workloads.DAEMON_SET_COLUMNS,
        row=workloads.daemon_set_row,
    ),
)
