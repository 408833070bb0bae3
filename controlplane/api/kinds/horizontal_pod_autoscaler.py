"""HorizontalPodAutoscalers in autoscaling/v2, the form that they are kept in."""

from __future__ import annotations

from controlplane.api import meta, names
from controlplane.api.errors import FieldError
from controlplane.api.field import invalid
from controlplane.api.printing import autoscaling
from controlplane.api.rules import lifecycle
from controlplane.api.rules.autoscaling import (
    default_behavior,
    default_metrics,
    validate_behavior,
    validate_metrics,
    validate_reference,
)
from controlplane.api.types import Kind, Object, Strategy


def _default(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    default_metrics(spec)
    default_behavior(spec)


def _prepare_create(obj: Object) -> None:
    obj["status"] = {"desiredReplicas": 0}


def _rules(obj: Object) -> list[FieldError]:
    spec = obj["spec"]
    lowest, highest = spec["minReplicas"], spec.get("maxReplicas", 0)
    errors: list[FieldError] = []
    if lowest < 1:
        errors.append(invalid("spec.minReplicas", lowest, "must be greater than or equal to 1"))
    if highest < 1:
        errors.append(invalid("spec.maxReplicas", highest, "must be greater than 0"))
    if highest < lowest:
        errors.append(invalid("spec.maxReplicas", highest, "must be greater than or equal to `minReplicas`"))
    errors += validate_reference(spec.get("scaleTargetRef", {}), "spec.scaleTargetRef")
    errors += validate_metrics(spec["metrics"], "spec.metrics")
    return errors + validate_behavior(spec.get("behavior", {}), "spec.behavior")


HORIZONTAL_POD_AUTOSCALER = Kind(
    group="autoscaling",
    version="v2",
    name="HorizontalPodAutoscaler",
    plural="horizontalpodautoscalers",
    definition="io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler",
    short_names=("hpa",),
    categories=("all",),
    subresources=("status",),
    strategy=Strategy(
        default=_default,
        prepare_create=_prepare_create,
        prepare_update=lifecycle.keep_status,
        prepare_status_update=lifecycle.update_status,
        validate=lifecycle.checked(names.dns1123_subdomain, _rules),
        validate_update=lambda new, old: meta.validate_update(new, old) + _rules(new),
        columns=autoscaling.AUTOSCALER_COLUMNS,
        row=autoscaling.autoscaler_row,
    ),
)
