"""Rows of HorizontalPodAutoscalers, of v2; v1's own table is made from the same form."""

from __future__ import annotations

from typing import Any

from controlplane.api.printing.cells import AGE, NAME, NONE, UNKNOWN, UNSET, age
from controlplane.api.types import Column, Object

AUTOSCALER_COLUMNS = (
    NAME,
    Column("Reference", description="What is scaled."),
    Column("Targets", description="Each metric: what it is, and what it should be."),
    Column("MinPods", description="The lower limit of replicas."),
    Column("MaxPods", description="The upper limit of replicas."),
    Column("Replicas", description="How many replicas there are."),
    AGE,
)

SHOWN = 2
"""How many metrics are printed before "+ N more..."."""


def autoscaler_row(obj: Object, now: float) -> list[Any]:
    """The cells of one HorizontalPodAutoscaler."""
    spec, status = obj.get("spec", {}), obj.get("status", {})
    target = spec.get("scaleTargetRef", {})
    return [
        obj["metadata"]["name"],
        f"{target.get('kind', '')}/{target.get('name', '')}",
        metrics_text(spec.get("metrics", ()), status.get("currentMetrics", ())),
        str(spec["minReplicas"]) if "minReplicas" in spec else UNSET,
        spec.get("maxReplicas", 0),
        status.get("currentReplicas", 0),
        age(obj, now),
    ]


def metrics_text(specs: Any, statuses: Any) -> str:
    """Each metric as current/target: "cpu: 10%/80%, memory: 5Mi/1Gi"."""
    if not specs:
        return NONE
    found = [_metric(spec, statuses[index] if index < len(statuses) else {}) for index, spec in enumerate(specs)]
    text = ", ".join(found[:SHOWN])
    return f"{text} + {len(found) - SHOWN} more..." if len(found) > SHOWN else text


def _metric(spec: Object, status: Object) -> str:
    type_ = spec.get("type", "")
    place = type_[:1].lower() + type_[1:]
    source = spec.get(place, {})
    target, current = source.get("target", {}), status.get(place, {}).get("current", {})
    match type_:
        case "Resource" | "ContainerResource":
            name = source.get("name", "")
            if "averageValue" in target:
                return f"{name}: {current.get('averageValue', UNKNOWN)}/{target['averageValue']}"
            share = target.get("averageUtilization")
            return f"{name}: {_percent(current)}/{'<auto>' if share is None else f'{share}%'}"
        case "Pods":
            return f"{current.get('averageValue', UNKNOWN)}/{target.get('averageValue', UNSET)}"
        case "Object" | "External":
            if "averageValue" in target:
                return f"{current.get('averageValue', UNKNOWN)}/{target['averageValue']} (avg)"
            return f"{current.get('value', UNKNOWN)}/{target.get('value', UNSET)}"
    return "<unknown type>"


def _percent(current: Object) -> str:
    share = current.get("averageUtilization")
    return UNKNOWN if share is None else f"{share}%"
