"""Deployments."""

from __future__ import annotations

from typing import Any

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import forbidden, invalid, not_supported
from controlplane.api.printing import workloads
from controlplane.api.rules import workload
from controlplane.api.rules.numbers import count_or_percent, non_negative
from controlplane.api.types import Kind, Object, Strategy
from controlplane.api.unsupported import template_warnings

DEFAULT_SHARE = "25%"
DEFAULT_HISTORY = 10
DEFAULT_PROGRESS_SECONDS = 600


def _default(obj: Object) -> None:
    workload.default_workload(obj)
    spec = obj["spec"]
    strategy = spec.setdefault("strategy", {})
    if not strategy.get("type"):
        strategy["type"] = "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.setdefault("rollingUpdate", {})
        rolling.setdefault("maxUnavailable", DEFAULT_SHARE)
        rolling.setdefault("maxSurge", DEFAULT_SHARE)
    spec.setdefault("revisionHistoryLimit", DEFAULT_HISTORY)
    spec.setdefault("progressDeadlineSeconds", DEFAULT_PROGRESS_SECONDS)


def _validate_spec(spec: dict[str, Any]) -> list[FieldError]:
    errors = non_negative(spec, "spec", "replicas")
    errors += workload.validate_selector_given(spec, "deployment")
    errors += workload.validate_template_for(spec, "ReplicaSet")
    errors += _validate_strategy(spec["strategy"], "spec.strategy")
    errors += non_negative(spec, "spec", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")
    deadline = spec["progressDeadlineSeconds"]
    if deadline <= spec.get("minReadySeconds", 0):
        errors.append(invalid("spec.progressDeadlineSeconds", deadline, "must be greater than minReadySeconds"))
    return errors


def _validate_strategy(strategy: dict[str, Any], path: str) -> list[FieldError]:
    rolling = strategy.get("rollingUpdate")
    if strategy["type"] == "Recreate":
        text = "may not be specified when strategy `type` is 'Recreate'"
        return [forbidden(f"{path}.rollingUpdate", text)] if rolling is not None else []
    if strategy["type"] != "RollingUpdate":
        return [not_supported(f"{path}.type", strategy["type"], ("Recreate", "RollingUpdate"))]
    unavailable, surge = strategy["rollingUpdate"]["maxUnavailable"], strategy["rollingUpdate"]["maxSurge"]
    inner = f"{path}.rollingUpdate"
    errors = count_or_percent(unavailable, f"{inner}.maxUnavailable")
    errors += count_or_percent(surge, f"{inner}.maxSurge")
    if unavailable in (0, "0%") and surge in (0, "0%"):
        errors.append(invalid(f"{inner}.maxUnavailable", unavailable, "may not be 0 when `maxSurge` is 0"))
    if not errors and isinstance(unavailable, str) and int(unavailable.removesuffix("%")) > 100:
        errors.append(invalid(f"{inner}.maxUnavailable", unavailable, "must not be greater than 100%"))
    return errors


def _validate(obj: Object) -> list[FieldError]:
    return meta.validate(obj, names.dns1123_subdomain) + _validate_spec(obj["spec"])


def _validate_update(new: Object, old: Object) -> list[FieldError]:
    errors = meta.validate_update(new, old)
    if new["spec"] == old["spec"]:
        return errors
    return errors + _validate_spec(new["spec"]) + workload.validate_same_selector(new, old)


DEPLOYMENT = Kind(
    group="apps",
    version="v1",
    name="Deployment",
    plural="deployments",
    definition="io.k8s.api.apps.v1.Deployment",
    short_names=("deploy",),
    categories=("all",),
    subresources=("scale", "status"),
    strategy=Strategy(
        default=_default,
        prepare_create=workload.prepare_create,
        prepare_update=workload.prepare_update,
        prepare_status_update=workload.prepare_status_update,
        validate=_validate,
        validate_update=_validate_update,
        warnings=template_warnings,
        columns=workloads.DEPLOYMENT_COLUMNS,
        row=workloads.deployment_row,
    ),
)
